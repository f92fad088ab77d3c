"""Coverage and missing ranges: one truth, also of a session that was never ingested."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.errors import PermanentError
from stock_platform.lake import write
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import (
    SESSION_COVERAGE,
    CoverageAt,
    missing_ranges,
    session_coverage,
)
from stock_platform_tests.domain.any_coverage import coverages
from stock_platform_tests.domain.examples import GRID, bars_of
from stock_platform_tests.pipelines.conftest import SESSIONS

NEVER_INGESTED, HALF_DAY = SESSIONS[1], SESSIONS[2]
EVENING = datetime(2026, 11, 27, 23, tzinfo=UTC)


def ingest(context: LakeContext, session: date, cells: list[tuple[str, int]]) -> None:
    bars = bars_of(cells, context.calendar.grid(session))
    write.publish_minute_bars(context.store, session, bars)


def test_a_session_that_was_never_ingested_is_missing_whole(context: LakeContext) -> None:
    counts = session_coverage(context, NEVER_INGESTED, now=EVENING)
    ranges = missing_ranges(context, NEVER_INGESTED, NEVER_INGESTED, now=EVENING)

    grid = context.calendar.grid(NEVER_INGESTED)
    last = grid.closes_at - timedelta(minutes=1)
    assert counts.schema == SESSION_COVERAGE
    assert counts.select("symbol", "expected", "missing").rows() == [
        ("AAPL", 390, 390),
        ("MSFT", 390, 390),
    ]
    assert ranges.rows() == [
        (symbol, NEVER_INGESTED, grid.opens_at, last, 390) for symbol in ("AAPL", "MSFT")
    ]


def test_a_session_that_closed_early_lacks_nothing_after_its_close(context: LakeContext) -> None:
    ingest(context, HALF_DAY, [("AAPL", slot) for slot in range(210)])

    counts = session_coverage(context, HALF_DAY, now=EVENING)
    ranges = missing_ranges(context, HALF_DAY, HALF_DAY, now=EVENING)

    assert counts["expected"].to_list() == [210, 210]
    assert ranges.select("symbol", "minutes").rows() == [("MSFT", 210)]


def test_of_a_running_session_only_minutes_that_closed_are_missing(context: LakeContext) -> None:
    ingest(context, NEVER_INGESTED, [("AAPL", slot) for slot in (0, 1, 4)])
    grid = context.calendar.grid(NEVER_INGESTED)
    now = grid.minute(10)

    counts = session_coverage(context, NEVER_INGESTED, now=now)
    ranges = missing_ranges(context, SESSIONS[1], SESSIONS[2], now=now)

    # Two minutes of grace: the minutes that closed until 09:38 are eight.
    assert counts.select("symbol", "expected", "missing").rows() == [
        ("AAPL", 8, 5),
        ("MSFT", 8, 8),
    ]
    assert ranges.select("symbol", "first", "last", "minutes").rows() == [
        ("AAPL", grid.minute(2), grid.minute(3), 2),
        ("AAPL", grid.minute(5), grid.minute(7), 3),
        ("MSFT", grid.minute(0), grid.minute(7), 8),
    ]


def test_the_ranges_of_all_sessions_add_up_to_what_coverage_counts(context: LakeContext) -> None:
    ingest(context, SESSIONS[0], [("AAPL", slot) for slot in range(0, 390, 2)])

    counts = pl.concat([session_coverage(context, session, now=EVENING) for session in SESSIONS])
    ranges = missing_ranges(context, SESSIONS[0], SESSIONS[-1], now=EVENING)

    by_session = ranges.group_by("session", "symbol").agg(pl.col("minutes").sum())
    missing = counts.filter(pl.col("missing") > 0).select("session", "symbol", "missing")
    assert sorted(by_session.rows()) == sorted(missing.rows())


def test_days_outside_the_lake_have_no_range_and_no_coverage(context: LakeContext) -> None:
    with pytest.raises(PermanentError, match="no session from 2026-01-02 to 2026-11-23 is one"):
        missing_ranges(context, date(2026, 1, 2), date(2026, 11, 23), now=EVENING)
    with pytest.raises(PermanentError, match="2026-11-26 is not a session the lake should hold"):
        session_coverage(context, date(2026, 11, 26), now=EVENING)


@given(coverages())
def test_ranges_are_exactly_what_is_missing(coverage: SessionCoverage) -> None:
    grid = coverage.grid
    ranges = CoverageAt(coverage, grid.end).missing_ranges()

    cells = [
        (symbol, slot)
        for symbol, _, first, last, _ in ranges.rows()
        for slot in range(grid.slot(first), grid.slot(last) + 1)
    ]
    missing = [(str(coverage.symbols[r]), int(slot)) for r, slot in np.argwhere(coverage.missing())]
    assert cells == missing
    assert ranges["minutes"].sum() == len(missing)


def test_a_range_names_its_symbol_and_minutes() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B"])
    coverage.set_observed(bars_of([("B", slot) for slot in range(390) if slot not in {5, 6, 9}]))
    coverage.confirm_empty("empty", coverage.rows_of(["A"]), 0, 389)

    ranges = CoverageAt(coverage, GRID.end).missing_ranges()

    assert ranges.select("symbol", "first", "last", "minutes").rows() == [
        ("B", GRID.minute(5), GRID.minute(6), 2),
        ("B", GRID.minute(9), GRID.minute(9), 1),
    ]
