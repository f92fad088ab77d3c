"""`stocks init` of a market in which symbols are listed, renamed, delisted and recycled."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.lake import coverage, read
from stock_platform.lake.object_store import open_store
from stock_platform.settings import LakeSettings
from stock_platform.simulator.server import running

FIRST, LAST = date(2026, 11, 10), date(2026, 11, 19)
RENAMED, GONE = date(2026, 11, 13), date(2026, 11, 17)
LIVES = [
    {"symbol": "FB", "security": "Meta", "last": RENAMED},
    {"symbol": "META", "security": "Meta", "first": RENAMED, "listed_from": "2026-11-17"},
    {"symbol": "META", "security": "Fund", "last": "2026-11-12"},
    {"symbol": "IPO", "first": "2026-11-16", "list_date": "2006-10-13"},
    {"symbol": "DEAD", "last": GONE},
    {"symbol": "FLK", "absent_on": ["2026-11-13", "2026-11-16"]},
]


@dataclass(frozen=True)
class Loaded:
    folder: Path
    outputs: list[subprocess.CompletedProcess[str]]
    true: dict[date, pl.DataFrame]


@pytest.fixture(scope="module", params=["*", "META,DEAD,IPO"], ids=["market", "watchlist"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("lake")
    symbols = ["AAPL", "DEAD", "FB", "FLK", "IPO", "META", "MSFT"]
    market = {"symbols": symbols, "first": FIRST, "last": LAST, "splits": [], "lives": LIVES}
    with running({"market": {"synthetic": market}}) as simulator:
        environment = {
            **os.environ,
            **simulator.environment(),
            "STOCKS_LAKE": str(folder),
            "STOCKS_SERVING_SQLITE": str(folder / "serving.sqlite"),
            "STOCKS_SYMBOLS": request.param,
            "STOCKS_FIRST_SESSION": FIRST.isoformat(),
            "STOCKS_LAST_SESSION": LAST.isoformat(),
        }
        command = [sys.executable, "-W", "ignore", "-m", "stock_platform.cli", "init"]
        outputs = [
            subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            for _ in range(2)
        ]
        true = {day: simulator.market.minute_bars(day) for day in simulator.market.sessions}
    return Loaded(folder, outputs, true)


def test_every_bar_that_was_traded_is_in_the_lake(loaded: Loaded) -> None:
    store = open_store(LakeSettings(lake=str(loaded.folder)))
    assert [output.returncode for output in loaded.outputs] == [0, 0], loaded.outputs[0].stdout
    held = {day: read.minute_bars(store, day, ["symbol", "minute"]) for day in loaded.true}
    wanted = set(held[FIRST]["symbol"]) | {"META", "FB", "DEAD", "IPO"}

    for day, true in loaded.true.items():
        expected = true.filter(pl.col("symbol").is_in(wanted)).select("symbol", "minute")
        assert held[day].rows() == expected.rows()
    known = coverage.summaries(store, list(loaded.true))
    assert known["missing"].to_list() == [0] * len(loaded.true)


def test_one_call_follows_the_renamed_security(loaded: Loaded) -> None:
    rows = sp.open_lake(loaded.folder).daily_bars(FIRST, LAST, symbols=["META"], follow=True)

    assert rows.select("session", "traded_as").rows() == [
        (day, "FB" if day < RENAMED else "META") for day in loaded.true
    ]


def test_a_listing_begins_where_evidence_shows_it(loaded: Loaded) -> None:
    rows = sp.open_lake(loaded.folder).sql(
        "select from_on, to_on from symbol_spans where symbol = 'IPO'"
    )

    assert rows.rows() == [(date(2026, 11, 16), None)]
