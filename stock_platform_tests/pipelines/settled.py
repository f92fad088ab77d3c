"""Sessions brought into a lake as a heal does, and verified."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.apply_response import apply_response
from stock_platform.lake import append_log, coverage, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.verify.certificate import Certificate
from stock_platform.pipelines.verify.verifier import Verifier
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.healing.responses import response

SESSION, HALF_DAY = date(2026, 11, 25), date(2026, 11, 27)
WINTER, SUMMER = date(2026, 3, 6), date(2026, 3, 9)
"""The sessions before and after the clocks change."""
LATER = datetime(2026, 12, 1, tzinfo=UTC)
SYMBOLS_HELD = ("AAPL", "MSFT")
TRADED = [
    *(("AAPL", slot) for slot in range(0, 200)),
    *(("MSFT", slot) for slot in range(0, 200, 7)),
]


def context_of(
    store: ObjectStore, *, symbols: str = "AAPL,MSFT", extended: bool = False
) -> LakeContext:
    market = {
        "symbols": symbols,
        "first_session": SESSION,
        "last_session": HALF_DAY,
        "extended_hours": extended,
    }
    return LakeContext(
        store, MarketSettings.model_validate(market), HealingSettings.model_validate({})
    )


def settle(
    context: LakeContext,
    session: date = SESSION,
    cells: Sequence[tuple[str, int]] = TRADED,
    *,
    symbols: Sequence[str] = SYMBOLS_HELD,
) -> None:
    """Bring a session into the lake as a heal does: bars, responses, coverage."""
    grid = context.calendar.grid(session)
    asked_at = grid.closes_at + timedelta(hours=3)
    first = response(
        symbols[:1], bars=[c for c in cells if c[0] == symbols[0]], asked_at=asked_at, grid=grid
    )
    rest = response(
        symbols[1:],
        bars=[c for c in cells if c[0] != symbols[0]],
        asked_at=asked_at + timedelta(seconds=1),
        revision=Revision.FINAL,
        provider="other",
        grid=grid,
    )
    record(context, grid, [first, rest])


def record(context: LakeContext, grid: MinuteGrid, responses: list[ProviderResponse]) -> None:
    bars = pl.concat([each.bars for each in responses])
    write.publish_minute_bars(context.store, grid.session, bars)
    append_log.record_responses(context.store, grid.session, responses)

    def apply(stored: SessionCoverage | None) -> SessionCoverage:
        known = stored or SessionCoverage.blank(grid, context.universe(grid.session))
        for each in responses:
            apply_response(known, each, context.policy)
        known.checked_at = grid.closes_at + timedelta(hours=4)
        return known

    coverage.update(context.store, grid, apply, due=grid.end)


def verify(
    context: LakeContext, session: date = SESSION, *, by_symbol: bool = False
) -> Certificate:
    return Verifier(context=context, by_symbol=by_symbol).verify(session)


def tampered(
    context: LakeContext, bitmap: str, symbol: str, first: int, last: int, *, to: bool
) -> None:
    """Store coverage that evidence does not support."""
    grid = context.calendar.grid(SESSION)

    def change(stored: SessionCoverage | None) -> SessionCoverage:
        assert stored is not None
        stored.bits[bitmap][stored.rows_of([symbol])[0], first : last + 1] = to
        return stored

    coverage.update(context.store, grid, change, due=grid.end)


def enrich(context: LakeContext) -> None:
    """Add what a certificate also speaks of: days, actions and rejected rows."""
    grid = context.calendar.grid(SESSION)
    days = [
        {**bars_of([(name, 0)], grid).row(0, named=True), "session": day}
        for name in SYMBOLS_HELD
        for day in (SESSION, HALF_DAY)
    ]
    daily = pl.DataFrame([{k: day[k] for k in DAILY_BARS} for day in days], schema=DAILY_BARS)
    write.publish_daily_bars(context.store, daily)
    split = [("AAPL", SESSION, 1.0, 2.0, "m", LATER), ("ZZZ", SESSION, 1.0, 2.0, "m", LATER)]
    rows = pl.DataFrame(split, schema=SPLITS, orient="row")
    write.publish_table(context.store, "splits", None, rows, key=SPLITS_KEY)
    rejected = response(broken=[("A", 3), ("A", 4)], grid=grid).rejected
    # The same rows are sent again, and rejected again, on the day after.
    for day in (25, 26):
        late = pl.lit(datetime(2026, 11, day, 22, tzinfo=UTC))
        again = rejected.with_columns(observed_at=late).cast(rejected.schema)
        append_log.record_rejected(context.store, again)
