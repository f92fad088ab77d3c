"""Bars of somebody nobody expected are kept, counted, and widen the universe."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.coverage import universe_digest
from stock_platform.lake import read, stream_parts
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_bars import DailyBarIngest
from stock_platform.pipelines.due_sessions import minutes_due, sessions_with_gaps
from stock_platform.pipelines.heal import Healer
from stock_platform.pipelines.reference import take_snapshots
from stock_platform.providers.registry import Providers
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.pipelines.exchange import Exchange, Life

DAY, NEXT = date(2026, 11, 18), date(2026, 11, 19)
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)


def lake(folder: Path, symbols: str | None = None) -> LakeContext:
    market = MarketSettings(symbols=symbols, first_session=DAY, last_session=NEXT)  # pyright: ignore[reportArgumentType]
    return LakeContext(FileStore.open(folder), market, HealingSettings())


@pytest.fixture
def vendor() -> Exchange:
    """Trade two symbols; the list has the second one a day late."""
    return Exchange([Life(symbol="OLD"), Life(symbol="NEWCO", first=DAY, listed_first=NEXT)], NOW)


@pytest.fixture
def whole_market(tmp_path: Path, vendor: Exchange) -> LakeContext:
    """A lake whose list of DAY lacks a symbol that trades."""
    context = lake(tmp_path)
    take_snapshots(context, vendor, [DAY])
    return context


def settle(context: LakeContext, vendor: Exchange, day: date = DAY) -> int:
    grid = context.calendar.grid(day)
    healer = Healer(context=context, providers=Providers(session=[vendor]), clock=lambda: NOW)
    return healer.settle(grid, now=NOW, since=grid.closes_at).unexpected


def test_bars_of_the_file_widen_the_universe_of_the_whole_market(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    assert whole_market.universe(DAY) == ["OLD"]

    unexpected = settle(whole_market, vendor)

    assert unexpected == 390
    assert set(read.minute_bars(whole_market.store, DAY)["symbol"]) == {"OLD", "NEWCO"}
    assert whole_market.universe(DAY) == ["NEWCO", "OLD"]
    coverage = whole_market.coverage(whole_market.calendar.grid(DAY))
    assert coverage.totals()["observed"] == 780


def test_a_widened_session_is_complete_and_not_due_again(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    settle(whole_market, vendor)

    assert sessions_with_gaps(whole_market, [DAY]) == []
    assert minutes_due(whole_market, DAY, NOW) is None
    assert settle(whole_market, vendor) == 0
    [row] = query(whole_market.store, "select symbol, bars from unexpected_symbols").rows()
    assert row == ("NEWCO", 390)


def test_a_watchlist_counts_the_bars_of_others_and_leaves_them_out(
    tmp_path: Path, vendor: Exchange
) -> None:
    context = lake(tmp_path, "OLD")

    assert settle(context, vendor) == 390

    assert set(read.minute_bars(context.store, DAY)["symbol"]) == {"OLD"}
    assert context.universe(DAY) == ["OLD"]


def test_streamed_bars_of_an_unlisted_symbol_are_expected_once_the_session_settles(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    grid = whole_market.calendar.grid(DAY)
    streamed = bars_of([("SPIN", 0)], grid)
    stream_parts.write_live_minute(whole_market.store, DAY, "0930", "writer", streamed)

    settle(whole_market, vendor)

    assert whole_market.universe(DAY) == ["NEWCO", "OLD", "SPIN"]
    assert sessions_with_gaps(whole_market, [DAY]) == []


def test_daily_bars_of_somebody_unexpected_widen_the_universe(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    fill = DailyBarIngest(context=whole_market, sources=[vendor], clock=lambda: NOW)

    done = fill.fill([DAY])

    assert done.unexpected == 1
    held = read.daily_bars(whole_market.store, 2026, 2026)
    assert held["symbol"].to_list() == ["NEWCO", "OLD"]
    assert whole_market.universe(DAY) == ["NEWCO", "OLD"]
    assert minutes_due(whole_market, DAY, NOW) is not None


def test_daily_bars_of_a_watchlist_are_of_the_watchlist(tmp_path: Path, vendor: Exchange) -> None:
    context = lake(tmp_path, "OLD")
    fill = DailyBarIngest(context=context, sources=[vendor], clock=lambda: NOW)

    done = fill.fill([DAY, NEXT])

    assert set(read.daily_bars(context.store, 2026, 2026)["symbol"]) == {"OLD"}
    assert done.absent == 0


def test_the_digest_of_a_session_is_that_of_its_symbols(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    settle(whole_market, vendor)
    take_snapshots(whole_market, vendor, [DAY, NEXT])
    universe = whole_market.universe_now()

    for day in (DAY, NEXT):
        grid = whole_market.calendar.grid(day)
        assert universe.digest(grid) == universe_digest(universe.on(day), grid)
    assert universe.on(DAY) == universe.on(NEXT) == ["NEWCO", "OLD"]


def test_who_is_recorded_twice_is_recorded_once(
    whole_market: LakeContext, vendor: Exchange
) -> None:
    settle(whole_market, vendor)
    before = read.table(whole_market.store, "unexpected_symbols", DAY)
    fill = DailyBarIngest(context=whole_market, sources=[vendor], clock=lambda: NOW)

    fill.fill([DAY])

    assert read.table(whole_market.store, "unexpected_symbols", DAY).equals(before)
    assert pl.Series(before["symbol"]).to_list() == ["NEWCO"]
