"""The ledger: bitmaps, counts, frames and gaps."""

from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import (
    BITMAPS,
    COUNTS,
    COVERAGE,
    SessionCoverage,
    to_instant,
    unpack,
)
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.any_coverage import SYMBOLS, coverages
from stock_platform_tests.domain.examples import (
    DAY,
    EXTENDED,
    GRID,
    HALF_DAY,
    REGULAR,
    at,
    bars_of,
)

DUES = st.none() | st.integers(0, 960)


@given(coverages(), DUES)
def test_every_expected_minute_is_in_exactly_one_state(
    coverage: SessionCoverage, due: int | None
) -> None:
    counts = coverage.counts(due)

    states = counts["observed"] + counts["empty"] + counts["silent"] + counts["missing"]
    end = coverage.grid.end if due is None else min(due, coverage.grid.end)
    assert (counts["expected"] == max(end - coverage.grid.first, 0)).all()
    assert (states == counts["expected"]).all()
    assert (counts["refused"] <= counts["missing"]).all()
    assert (counts["healed"] <= counts["observed"]).all()
    assert (counts["missing"] == coverage.missing(due).sum(axis=1)).all()


@given(coverages(), DUES)
def test_what_is_missing_is_also_unproven(coverage: SessionCoverage, due: int | None) -> None:
    doubtful = coverage.unconfirmed(due) & ~coverage.missing(due)

    assert not (coverage.missing(due) & ~coverage.unconfirmed(due)).any()
    assert (doubtful <= coverage.bits["silent"]).all()


@given(coverages())
def test_totals_are_the_sums_of_the_counts(coverage: SessionCoverage) -> None:
    frame = coverage.to_frame()

    assert coverage.totals() == {name: frame[name].sum() for name in COUNTS}


@given(coverages(), st.randoms())
def test_a_ledger_reads_back_from_its_frame(coverage: SessionCoverage, random: Random) -> None:
    order = list(range(len(coverage.symbols)))
    random.shuffle(order)
    frame = coverage.to_frame()

    read = SessionCoverage.from_frame(coverage.grid, frame[order])

    assert frame.schema == COVERAGE
    assert read.to_frame().equals(frame)
    assert read.checked_at == (coverage.checked_at if order else None)
    assert all((read.bits[name] == coverage.bits[name]).all() for name in BITMAPS)
    assert np.array_equal(read.next_retry_at, coverage.next_retry_at, equal_nan=True)


@given(coverages())
def test_a_ledger_that_was_read_can_be_changed(coverage: SessionCoverage) -> None:
    read = SessionCoverage.from_frame(coverage.grid, coverage.to_frame())

    read.confirm_empty("empty", slice(None), 0, read.grid.width - 1)
    read.attempts[:] = 0
    read.next_retry_at[:] = to_instant(at("22:00"))

    assert read.totals()["missing"] == 0


def test_a_ledger_of_another_width_is_malformed() -> None:
    frame = SessionCoverage.blank(GRID, ["A"]).to_frame()

    with pytest.raises(InvalidDataError):
        SessionCoverage.from_frame(EXTENDED.grid(DAY), frame)


def test_an_absent_bitmap_has_no_bit_set() -> None:
    column = pl.Series("empty_bits", [None, bytes([0x80, 0x01])], pl.Binary)

    bits = unpack(column, 16)

    assert [list(np.flatnonzero(row)) for row in bits] == [[], [0, 15]]


@given(
    st.lists(st.sampled_from([*SYMBOLS, "", "0", "ZZZ", "b"])), st.sets(st.sampled_from(SYMBOLS))
)
def test_rows_of_finds_symbols_and_says_minus_one_of_strangers(
    asked: list[str], known: set[str]
) -> None:
    coverage = SessionCoverage.blank(GRID, known)

    rows = coverage.rows_of(asked)

    assert rows.tolist() == [sorted(known).index(name) if name in known else -1 for name in asked]


def test_a_symbol_named_twice_has_one_row() -> None:
    assert SessionCoverage.blank(GRID, ["B", "A", "B"]).symbols.tolist() == ["A", "B"]


def test_strangers_and_bars_off_the_grid_are_passed_over() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])

    new = coverage.set_observed(bars_of([("A", 0), ("B", 0), ("A", -1), ("A", 390), ("A", -330)]))

    assert new == 1
    assert np.argwhere(coverage.bits["observed"]).tolist() == [[0, 0]]


def test_a_minute_observed_twice_is_new_once() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])

    first = coverage.set_observed(bars_of([("A", 0), ("A", 0), ("A", 1)]))
    again = coverage.set_observed(bars_of([("A", 0), ("A", 2)]), healed=True)

    assert (first, again) == (2, 1)
    assert coverage.totals()["healed"] == 1


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_bars_are_placed_whatever_the_unit_of_their_minutes(unit: str) -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    bars = bars_of([("A", 5)]).with_columns(pl.col("minute").dt.cast_time_unit(unit))  # type: ignore[arg-type]

    coverage.set_observed(bars)

    assert np.flatnonzero(coverage.bits["observed"][0]).tolist() == [5]


def test_rebuilding_forgets_a_bar_that_is_gone_and_its_heal() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    coverage.set_observed(bars_of([("A", 0), ("A", 1)]), healed=True)

    coverage.rebuild_observed(bars_of([("A", 1)]))

    assert (coverage.totals()["observed"], coverage.totals()["healed"]) == (1, 1)


def test_a_bar_that_arrives_later_wins_over_empty() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    coverage.confirm_empty("empty", slice(None), 0, 389)

    coverage.set_observed(bars_of([("A", 3)]))

    assert (coverage.totals()["observed"], coverage.totals()["empty"]) == (1, 389)


@pytest.mark.parametrize(
    ("first", "last", "marked"),
    [
        (0, 1, [0, 1]),
        (-5, 0, [0]),
        (388, 500, [388, 389]),
        (-9, -5, []),
        (3, 2, []),
        (390, 400, []),
    ],
)
def test_marking_stays_within_the_grid(first: int, last: int, marked: list[int]) -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])

    coverage.confirm_empty("empty", slice(None), first, last)

    assert np.flatnonzero(coverage.bits["empty"][0]).tolist() == marked


@pytest.mark.parametrize(("calendar", "expected"), [(REGULAR, 210), (EXTENDED, 780)])
def test_a_half_day_expects_fewer_minutes_of_the_same_grid(
    calendar: Calendar, expected: int
) -> None:
    coverage = SessionCoverage.blank(calendar.grid(HALF_DAY), ["A"])

    assert coverage.totals()["missing"] == expected
    assert coverage.to_frame()["observed_bits"].bin.size().to_list() == [(calendar.width + 7) // 8]


def test_a_bar_after_the_close_of_a_half_day_is_kept_but_not_counted() -> None:
    grid = REGULAR.grid(HALF_DAY)
    coverage = SessionCoverage.blank(grid, ["A"])

    coverage.set_observed(bars_of([("A", 209), ("A", 210)], grid))

    assert coverage.totals() == dict.fromkeys(COUNTS, 0) | {
        "expected": 210,
        "observed": 1,
        "missing": 209,
    }


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_an_instant_is_kept_in_utc_whatever_its_zone(zone: str) -> None:
    instant = at("21:00:00").replace(microsecond=7).astimezone(ZoneInfo(zone))

    assert to_instant(instant) == np.datetime64("2026-11-19T21:00:00.000007")


def test_due_minutes_are_what_counts_speak_of() -> None:
    grid = GRID
    coverage = SessionCoverage.blank(grid, ["A"])

    due = grid.closed_slots(grid.opens_at + timedelta(minutes=12), 120)

    assert coverage.totals(due)["missing"] == 10
