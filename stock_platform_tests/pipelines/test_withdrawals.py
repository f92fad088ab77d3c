"""A bar that the settled record no longer has is retracted, and everything follows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS, validate_bars
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.healing.reconciliation import summarize
from stock_platform.lake import read, stream_parts, write
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_bars import DailyBarIngest
from stock_platform.pipelines.heal import Healer
from stock_platform.providers.factory import Providers
from stock_platform_tests.pipelines.conftest import SESSIONS
from stock_platform_tests.pipelines.vendors import DOWN, LONG_AFTER, Vendor, streamed

GRID = Calendar().grid(SESSIONS[0])
HALF = Calendar().grid(SESSIONS[2])
PHANTOM = ("AAPL", GRID.minute(150))


def settle(context: LakeContext, vendor: Vendor, grid: MinuteGrid = GRID, *, days: int = 0) -> None:
    vendor.now = LONG_AFTER + timedelta(days=days)
    healer = Healer(context=context, providers=Providers(minute=[vendor]), clock=lambda: vendor.now)
    healer.settle(grid, now=vendor.now, since=vendor.now)


def minutes(context: LakeContext, grid: MinuteGrid = GRID, **of: object) -> pl.DataFrame:
    return read.minute_bars(context.store, grid.session, **of).filter(symbol="AAPL")  # type: ignore[arg-type]


def at_phantom(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("minute") == PHANTOM[1])


@pytest.mark.parametrize("compacted", [True, False])
def test_a_streamed_bar_the_record_lacks_vanishes(context: LakeContext, *, compacted: bool) -> None:
    live = streamed(GRID, {**dict.fromkeys(range(140, 160), 10), 150: 5000})
    if compacted:
        write.publish_minute_bars(context.store, GRID.session, live)
    else:
        stream_parts.write_live_minute(context.store, GRID.session, "1200", "w", live)

    settle(context, Vendor(lacks={PHANTOM}))

    assert at_phantom(minutes(context)).height == 0
    assert query(context.store, "SELECT max(high) AS h FROM minute_bars")["h"].item() == 10
    counts = context.coverage(GRID).totals()
    assert (counts["observed"], counts["empty"], counts["missing"]) == (779, 1, 0)
    before = at_phantom(minutes(context, as_of=LONG_AFTER - timedelta(days=1)))
    assert before["close"].to_list() == [Decimal(5000)]


def test_a_final_bar_taken_back_is_in_history_and_reconciliation(context: LakeContext) -> None:
    settle(context, Vendor())

    settle(context, Vendor(lacks={PHANTOM}), days=8)

    history = read.table(context.store, "minute_bars_history", GRID.session)
    assert sorted(history["reason"]) == ["retracted", "retraction"]
    differences = read.table(context.store, "bar_differences", GRID.session)
    assert differences.select("symbol", "kind").rows() == [("AAPL", "removed")]
    rows = summarize(differences, read.minute_bars(context.store, GRID.session))
    assert rows.filter(symbol="AAPL").select("live", "removed").rows() == [(390, 1)]


def test_a_bar_that_comes_back_is_there_again(context: LakeContext) -> None:
    settle(context, Vendor())
    settle(context, Vendor(lacks={PHANTOM}), days=8)

    settle(context, Vendor(), days=9)

    assert at_phantom(minutes(context)).height == 1
    during = LONG_AFTER + timedelta(days=8, hours=1)
    assert at_phantom(minutes(context, as_of=during)).height == 0


def test_taking_back_twice_changes_nothing(context: LakeContext) -> None:
    settle(context, Vendor())
    settle(context, Vendor(lacks={PHANTOM}), days=8)
    before = {entry.path: entry.version for entry in context.store.list("minute_bars_history")}

    settle(context, Vendor(lacks={PHANTOM}), days=9)

    now = {entry.path: entry.version for entry in context.store.list("minute_bars_history")}
    assert now == before


def test_a_half_day_is_complete_at_its_own_close(context: LakeContext) -> None:
    write.publish_minute_bars(context.store, HALF.session, streamed(HALF, {100: 5000, 101: 10}))

    settle(context, Vendor(lacks={("AAPL", HALF.minute(100))}), HALF)

    assert minutes(context, HALF)["high"].max() == Decimal(10)


def holes(*slots: int) -> set[tuple[str, datetime]]:
    return {("AAPL", GRID.minute(slot)) for slot in slots}


@pytest.mark.parametrize(
    "lacks",
    [
        pytest.param(holes(*range(200, 260)), id="an hour"),
        pytest.param(holes(*range(200, 206)), id="six minutes in a row"),
        pytest.param(holes(*range(380, 390)), id="the tail"),
        pytest.param(holes(388, 389), id="the last two minutes"),
        pytest.param(holes(*range(0, 390, 10)), id="every tenth minute"),
        pytest.param(holes(*range(390)), id="everything"),
    ],
)
def test_a_hole_of_the_response_takes_nothing_back(
    context: LakeContext, lacks: set[tuple[str, datetime]]
) -> None:
    settle(context, Vendor())

    settle(context, Vendor(lacks=lacks), days=8)

    assert minutes(context).height == 390


def cut(response: ProviderResponse) -> ProviderResponse:
    return replace(response, last=response.last - timedelta(minutes=1))


def rejecting(response: ProviderResponse) -> ProviderResponse:
    bad = response.bars.filter(pl.col("minute") == PHANTOM[1]).with_columns(high=pl.lit(1.0))
    checked = validate_bars(bad, MINUTE_BARS, dataset="minute_bars")
    kept = response.bars.filter(pl.col("minute") != PHANTOM[1])
    return replace(response, bars=kept, rejected=checked.rejected)


@pytest.mark.parametrize(("lacks", "modify"), [({PHANTOM}, cut), (set(), rejecting)])
def test_an_incomplete_or_rejected_response_takes_nothing_back(
    context: LakeContext,
    lacks: set[tuple[str, datetime]],
    modify: Callable[[ProviderResponse], ProviderResponse],
) -> None:
    settle(context, Vendor())

    settle(context, Vendor(lacks=lacks, modify=modify), days=8)

    assert at_phantom(minutes(context)).height == 1


def test_a_second_source_takes_nothing_back(context: LakeContext) -> None:
    settle(context, Vendor())
    now = LONG_AFTER + timedelta(days=8)
    vendors = [Vendor(error=DOWN, now=now), Vendor(name="acme", lacks={PHANTOM}, now=now)]

    Healer(context=context, providers=Providers(minute=[*vendors]), clock=lambda: now).settle(
        GRID, now=now, since=now
    )

    assert at_phantom(minutes(context)).height == 1


def test_before_it_has_settled_the_record_takes_nothing_back(context: LakeContext) -> None:
    write.publish_minute_bars(context.store, GRID.session, streamed(GRID, {150: 10, 151: 10}))
    now = GRID.closes_at + timedelta(minutes=5)
    vendor = Vendor(lacks={PHANTOM}, now=now)

    Healer(context=context, providers=Providers(minute=[vendor]), clock=lambda: now).heal(
        GRID, 0, 389, now=now, only_ready=False
    )

    assert at_phantom(minutes(context)).height == 1


def test_the_daily_bar_made_from_minutes_follows(context: LakeContext) -> None:
    write.publish_minute_bars(context.store, GRID.session, streamed(GRID, {10: 10, 389: 5000}))
    ingest = DailyBarIngest(context=context, sources=[], clock=lambda: LONG_AFTER)
    ingest.fill([GRID.session])
    assert read.daily_bars(context.store, 2026, 2026)["high"].to_list() == [Decimal(5000)]

    settle(context, Vendor(lacks={("AAPL", GRID.minute(389))}), days=1)

    days = read.daily_bars(context.store, 2026, 2026).filter(symbol="AAPL")
    assert days["high"].to_list() == [Decimal(10)]


def daily(context: LakeContext, vendor: Vendor, *, days: int = 0) -> pl.DataFrame:
    vendor.now = LONG_AFTER + timedelta(days=days)
    DailyBarIngest(context=context, sources=[vendor], clock=lambda: vendor.now).fill([GRID.session])
    return read.daily_bars(context.store, 2026, 2026)


def test_a_daily_bar_the_record_lacks_is_retracted(context: LakeContext) -> None:
    midnight = datetime.combine(GRID.session, datetime.min.time(), LONG_AFTER.tzinfo)
    rows = daily(context, Vendor())
    early = rows.with_columns(revision=pl.lit("rest")).cast(rows.schema)
    context.store.delete([entry.path for entry in context.store.list("daily_bars")])
    write.publish_daily_bars(context.store, early)

    after = daily(context, Vendor(lacks={("AAPL", midnight)}), days=1)

    assert after["symbol"].to_list() == ["MSFT"]
    history = read.table(context.store, "daily_bars_history", 2026).filter(symbol="AAPL")
    assert set(history["reason"]) == {"retracted", "retraction"}
