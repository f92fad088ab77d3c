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
    Ledger,
    to_instant,
    unpack,
)
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.any_ledger import SYMBOLS, ledgers
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


@given(ledgers(), DUES)
def test_every_expected_minute_is_in_exactly_one_state(ledger: Ledger, due: int | None) -> None:
    counts = ledger.counts(due)

    states = counts["observed"] + counts["empty"] + counts["silent"] + counts["missing"]
    end = ledger.grid.end if due is None else min(due, ledger.grid.end)
    assert (counts["expected"] == max(end - ledger.grid.first, 0)).all()
    assert (states == counts["expected"]).all()
    assert (counts["refused"] <= counts["missing"]).all()
    assert (counts["healed"] <= counts["observed"]).all()
    assert (counts["missing"] == ledger.missing(due).sum(axis=1)).all()


@given(ledgers(), DUES)
def test_what_is_missing_is_also_unproven(ledger: Ledger, due: int | None) -> None:
    doubtful = ledger.unproven(due) & ~ledger.missing(due)

    assert not (ledger.missing(due) & ~ledger.unproven(due)).any()
    assert (doubtful <= ledger.bits["silent"]).all()


@given(ledgers())
def test_totals_are_the_sums_of_the_counts(ledger: Ledger) -> None:
    frame = ledger.to_frame()

    assert ledger.totals() == {name: frame[name].sum() for name in COUNTS}


@given(ledgers(), st.randoms())
def test_a_ledger_reads_back_from_its_frame(ledger: Ledger, random: Random) -> None:
    order = list(range(len(ledger.symbols)))
    random.shuffle(order)
    frame = ledger.to_frame()

    read = Ledger.from_frame(ledger.grid, frame[order])

    assert frame.schema == COVERAGE
    assert read.to_frame().equals(frame)
    assert read.checked_at == (ledger.checked_at if order else None)
    assert all((read.bits[name] == ledger.bits[name]).all() for name in BITMAPS)
    assert np.array_equal(read.next_retry_at, ledger.next_retry_at, equal_nan=True)


@given(ledgers())
def test_a_ledger_that_was_read_can_be_changed(ledger: Ledger) -> None:
    read = Ledger.from_frame(ledger.grid, ledger.to_frame())

    read.mark("empty", slice(None), 0, read.grid.width - 1)
    read.attempts[:] = 0
    read.next_retry_at[:] = to_instant(at("22:00"))

    assert read.totals()["missing"] == 0


def test_a_ledger_of_another_width_is_malformed() -> None:
    frame = Ledger.blank(GRID, ["A"]).to_frame()

    with pytest.raises(InvalidDataError):
        Ledger.from_frame(EXTENDED.grid(DAY), frame)


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
    ledger = Ledger.blank(GRID, known)

    rows = ledger.rows_of(asked)

    assert rows.tolist() == [sorted(known).index(name) if name in known else -1 for name in asked]


def test_a_symbol_named_twice_has_one_row() -> None:
    assert Ledger.blank(GRID, ["B", "A", "B"]).symbols.tolist() == ["A", "B"]


def test_strangers_and_bars_off_the_grid_are_passed_over() -> None:
    ledger = Ledger.blank(GRID, ["A"])

    new = ledger.set_observed(bars_of([("A", 0), ("B", 0), ("A", -1), ("A", 390), ("A", -330)]))

    assert new == 1
    assert np.argwhere(ledger.bits["observed"]).tolist() == [[0, 0]]


def test_a_minute_observed_twice_is_new_once() -> None:
    ledger = Ledger.blank(GRID, ["A"])

    first = ledger.set_observed(bars_of([("A", 0), ("A", 0), ("A", 1)]))
    again = ledger.set_observed(bars_of([("A", 0), ("A", 2)]), healed=True)

    assert (first, again) == (2, 1)
    assert ledger.totals()["healed"] == 1


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_bars_are_placed_whatever_the_unit_of_their_minutes(unit: str) -> None:
    ledger = Ledger.blank(GRID, ["A"])
    bars = bars_of([("A", 5)]).with_columns(pl.col("minute").dt.cast_time_unit(unit))  # type: ignore[arg-type]

    ledger.set_observed(bars)

    assert np.flatnonzero(ledger.bits["observed"][0]).tolist() == [5]


def test_rebuilding_forgets_a_bar_that_is_gone_and_its_heal() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    ledger.set_observed(bars_of([("A", 0), ("A", 1)]), healed=True)

    ledger.rebuild_observed(bars_of([("A", 1)]))

    assert (ledger.totals()["observed"], ledger.totals()["healed"]) == (1, 1)


def test_a_bar_that_arrives_later_wins_over_empty() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    ledger.mark("empty", slice(None), 0, 389)

    ledger.set_observed(bars_of([("A", 3)]))

    assert (ledger.totals()["observed"], ledger.totals()["empty"]) == (1, 389)


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
    ledger = Ledger.blank(GRID, ["A"])

    ledger.mark("empty", slice(None), first, last)

    assert np.flatnonzero(ledger.bits["empty"][0]).tolist() == marked


@pytest.mark.parametrize(("calendar", "expected"), [(REGULAR, 210), (EXTENDED, 780)])
def test_a_half_day_expects_fewer_minutes_of_the_same_grid(
    calendar: Calendar, expected: int
) -> None:
    ledger = Ledger.blank(calendar.grid(HALF_DAY), ["A"])

    assert ledger.totals()["missing"] == expected
    assert ledger.to_frame()["observed_bits"].bin.size().to_list() == [(calendar.width + 7) // 8]


def test_a_bar_after_the_close_of_a_half_day_is_kept_but_not_counted() -> None:
    grid = REGULAR.grid(HALF_DAY)
    ledger = Ledger.blank(grid, ["A"])

    ledger.set_observed(bars_of([("A", 209), ("A", 210)], grid))

    assert ledger.totals() == dict.fromkeys(COUNTS, 0) | {
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
    ledger = Ledger.blank(grid, ["A"])

    due = grid.due(grid.opens_at + timedelta(minutes=12), 120)

    assert ledger.totals(due)["missing"] == 10
