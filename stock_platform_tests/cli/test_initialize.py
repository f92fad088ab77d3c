"""`stocks init` against the simulated vendor."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.lake import coverage, read
from stock_platform.lake.object_store import open_store
from stock_platform.settings import LakeSettings
from stock_platform.simulator.server import running

FIRST, LAST = date(2026, 10, 29), date(2026, 11, 4)
"""Over the end of daylight saving time on 2026-11-01."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[date, int]]:
    folder = tmp_path_factory.mktemp("lake")
    market = {"symbols": 20, "first": FIRST, "last": LAST}
    with running({"market": {"synthetic": market}}) as simulator:
        environment = {
            **os.environ,
            **simulator.environment(),
            "STOCKS_LAKE": str(folder),
            "STOCKS_SERVING_SQLITE": str(folder / "serving.sqlite"),
            "STOCKS_SYMBOLS": "*",
            "STOCKS_FIRST_SESSION": FIRST.isoformat(),
            "STOCKS_LAST_SESSION": LAST.isoformat(),
        }
        command = [sys.executable, "-W", "ignore", "-m", "stock_platform.cli", "init"]
        outputs = [
            subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            for _ in range(2)
        ]
        sessions = simulator.market.sessions
        true = {day: simulator.market.minute_bars(day).height for day in sessions}
    assert [output.returncode for output in outputs] == [0, 0], outputs[0].stdout[-2000:]
    return folder, [output.stdout for output in outputs], true


def test_every_session_is_whole(
    loaded: tuple[Path, list[str], dict[date, int]],
) -> None:
    folder, _, true = loaded
    store = open_store(LakeSettings(lake=str(folder)))

    known = coverage.summaries(store, list(true))
    held = {day: read.minute_bars(store, day, ["symbol"]).height for day in true}

    assert known["missing"].to_list() == [0] * len(true)
    assert held == true


def test_daily_bars_are_there_for_every_symbol(
    loaded: tuple[Path, list[str], dict[date, int]],
) -> None:
    folder, _, true = loaded
    store = open_store(LakeSettings(lake=str(folder)))

    daily = read.daily_bars(store, FIRST.year, LAST.year)

    assert daily.group_by("session").agg(pl.len()).height == len(true)


def test_indicators_are_there_for_every_bar(
    loaded: tuple[Path, list[str], dict[date, int]],
) -> None:
    folder, _, true = loaded
    store = open_store(LakeSettings(lake=str(folder)))

    minutes = {day: read.table(store, "indicators_minute", day).height for day in true}
    daily = read.table(store, "indicators_daily", FIRST.year)

    assert minutes == true
    assert daily.height == read.daily_bars(store, FIRST.year, LAST.year).height


def test_the_sessions_are_served(loaded: tuple[Path, list[str], dict[date, int]]) -> None:
    folder, outputs, true = loaded

    assert f"{20 * len(true)} rows of stock_data" in " ".join(outputs[1].split())
    assert (folder / "serving.sqlite").is_file()


def test_it_says_what_is_left(loaded: tuple[Path, list[str], dict[date, int]]) -> None:
    _, outputs, _ = loaded

    assert "0 symbol-minutes missing" in " ".join(outputs[1].split())
