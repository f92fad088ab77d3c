"""Ledgers come back as they were kept, and a year of them is surveyed from their ends."""

from datetime import date
from multiprocessing.synchronize import Barrier

import numpy as np
import pytest

from stock_platform.domain.coverage import BITMAPS, Ledger, to_gaps
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.lake import coverage
from stock_platform.lake.object_store import Store, open_store
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, HALF_DAY, REGULAR, at, bars_of
from stock_platform_tests.lake.workers import SPAWN, finish, start


def fresh(grid: MinuteGrid = GRID) -> Ledger:
    ledger = Ledger.blank(grid, ["A", "B", "NULL"])
    ledger.set_observed(bars_of([("A", 0), ("A", 1), ("B", 5)], grid))
    ledger.mark("empty", slice(2, 3), 0, grid.end - 1)
    ledger.mark("silent", slice(0, 1), 10, 19)
    ledger.checked_at = grid.closes_at
    return ledger


def mark_slots(settings: LakeSettings, symbols: list[str], together: Barrier) -> None:
    """Mark a slot at a time of every symbol, in competition with another process."""
    store = open_store(settings)
    together.wait(60)
    for slot in range(30):
        coverage.update(store, GRID, lambda ledger, at=slot: _with_slot(ledger, symbols, at))


def _with_slot(ledger: Ledger | None, symbols: list[str], slot: int) -> Ledger:
    changed = ledger or Ledger.blank(GRID, ["A", "B"])
    changed.mark("observed", changed.rows_of(symbols), slot, slot)
    return changed


def test_a_session_without_a_ledger_has_none(store: Store) -> None:
    assert coverage.load(store, GRID) is None


def test_a_ledger_is_read_back_as_it_was_kept(store: Store) -> None:
    kept = coverage.update(store, GRID, lambda _: fresh())

    found = coverage.load(store, GRID)

    assert found is not None
    assert found.to_frame().equals(kept.to_frame())
    assert all(np.array_equal(found.bits[name], kept.bits[name]) for name in BITMAPS)


def test_the_same_ledger_again_is_not_written(disk: Store) -> None:
    coverage.update(disk, GRID, lambda _: fresh())
    [before] = disk.list("coverage")

    coverage.update(disk, GRID, lambda ledger: ledger or fresh())

    assert disk.list("coverage") == [before]


def test_a_ledger_of_other_hours_is_none(disk: Store) -> None:
    coverage.update(disk, GRID, lambda _: fresh())

    assert coverage.load(disk, EXTENDED.grid(DAY)) is None


def test_two_processes_lose_no_mark(disk: Store, disk_settings: LakeSettings) -> None:
    together = SPAWN.Barrier(2)

    codes = finish(*(start(mark_slots, disk_settings, [name], together) for name in "AB"))

    found = coverage.load(disk, GRID)
    assert codes == [0, 0]
    assert found is not None
    assert found.bits["observed"].sum(axis=1).tolist() == [30, 30]


def test_summaries_add_up_what_the_ledgers_count(store: Store) -> None:
    kept = coverage.update(store, GRID, lambda _: fresh())

    [row] = coverage.summaries(store, [DAY, date(2026, 11, 18)]).rows(named=True)

    assert {name: row[name] for name in kept.totals()} == kept.totals()
    assert (row["session"], row["symbols"], row["width"], row["due"]) == (DAY, 3, 390, 390)
    assert (row["checked_at"], row["verified_at"]) == (GRID.closes_at, None)


def test_a_session_counts_as_verified_when_its_last_symbol_is(disk: Store) -> None:
    ledger = fresh()
    ledger.verified_at[:] = [np.datetime64(f"2026-11-20T0{hour}:00", "us") for hour in (3, 1, 2)]
    coverage.update(disk, GRID, lambda _: ledger)

    [row] = coverage.summaries(disk, [DAY]).rows(named=True)

    assert row["verified_at"] == at("01:00", date(2026, 11, 20))


def test_nothing_kept_gives_an_empty_summary(store: Store) -> None:
    assert coverage.summaries(store, [DAY]).schema == coverage.SUMMARIES
    assert coverage.summaries(store, []).is_empty()


@pytest.mark.parametrize("session", [DAY, HALF_DAY])
def test_missing_ranges_are_the_gaps_of_the_ledger(store: Store, session: date) -> None:
    grid = REGULAR.grid(session)
    kept = coverage.update(store, grid, lambda _: fresh(grid))

    found = coverage.missing_ranges(store, [grid])

    gaps = to_gaps(kept, kept.missing())
    assert found.rows() == [(session, gap.symbol, gap.first, gap.last) for gap in gaps]
    assert max(gap.last for gap in gaps) == grid.end - 1


def test_minutes_that_were_not_due_are_not_missing(disk: Store) -> None:
    ledger = fresh()
    ledger.checked_at = GRID.minute(7)
    coverage.update(disk, GRID, lambda _: ledger)

    ranges = coverage.missing_ranges(disk, [GRID]).select("symbol", "first", "last").rows()
    [row] = coverage.summaries(disk, [DAY]).rows(named=True)

    assert ranges == [("A", 2, 6), ("B", 0, 4), ("B", 6, 6)]
    assert (row["due"], row["expected"], row["missing"]) == (7, 21, 11)


def test_ranges_of_extended_hours_fill_the_last_byte(disk: Store) -> None:
    grid = EXTENDED.grid(DAY)
    coverage.update(disk, grid, lambda _: fresh(grid))

    assert coverage.missing_ranges(disk, [grid])["last"].max() == 959
