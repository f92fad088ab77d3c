"""Quotes: the running minute is polled, a past one rebuilt, and trouble is spread."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial

import polars as pl
import pytest

from stock_platform.errors import PermanentError
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.quotes import poll_quotes
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.settings import Settings
from stock_platform.simulator.scenario import Fault
from stock_platform.simulator.server import Simulator
from stock_platform_tests.defs.conftest import SYMBOLS


@contextmanager
def _none() -> Generator[Providers]:
    yield Providers()


def _take(
    lake_context: LakeContext, session: date, slots: range, minutes_later: float = 0.5
) -> int:
    grid = lake_context.calendar.grid(session)
    now = grid.minute(slots[-1]) + timedelta(minutes=minutes_later)
    taken = poll_quotes(
        lake_context,
        partial(open_providers, Settings.from_env()),
        grid,
        slots,
        now=now,
        log=lambda line: None,
    )
    return taken.rebuilt


def test_the_running_minute_is_polled_for_every_symbol(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    rebuilt = _take(lake_context, two_sessions[1], range(30, 31))

    quotes = read.raw_quotes(lake_context.store, two_sessions[1])
    assert rebuilt == 0
    assert quotes["symbol"].to_list() == sorted(SYMBOLS)
    assert quotes["provider"].unique().to_list() == ["massive"]


def test_polling_the_same_minute_twice_keeps_the_first_quote(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    _take(lake_context, two_sessions[1], range(30, 31))
    before = read.raw_quotes(lake_context.store, two_sessions[1])

    _take(lake_context, two_sessions[1], range(30, 31))

    assert read.raw_quotes(lake_context.store, two_sessions[1]).equals(before)


def test_a_provider_in_trouble_does_not_hide_the_next(
    lake_context: LakeContext,
    simulator: Simulator,
    two_sessions: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_ATTEMPTS_MAX", "1")
    simulator.set_faults([Fault(kind="server_error", vendor="massive", path="snapshot")])

    _take(lake_context, two_sessions[1], range(40, 41))
    simulator.set_faults([])

    quotes = read.raw_quotes(lake_context.store, two_sessions[1])
    others = quotes.filter(pl.col("provider") != "massive")
    assert set(others["symbol"]) == set(SYMBOLS)


def test_polling_without_a_provider_says_what_to_set(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    grid = lake_context.calendar.grid(two_sessions[1])

    with pytest.raises(PermanentError, match="FINNHUB_API_KEY"):
        poll_quotes(lake_context, _none, grid, range(1), now=grid.minute(0), log=lambda line: None)


def test_past_minutes_need_no_provider(lake_context: LakeContext, two_sessions: list[date]) -> None:
    grid = lake_context.calendar.grid(two_sessions[1])

    taken = poll_quotes(
        lake_context, _none, grid, range(3), now=grid.minute(60), log=lambda line: None
    )

    assert (taken.rebuilt, taken.polled) == (3, [])
