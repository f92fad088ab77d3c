"""Ledgers come back as they were kept, and a year of them is surveyed from their ends."""

from datetime import date
from multiprocessing.synchronize import Barrier

import numpy as np

from stock_platform.domain.coverage import BITMAPS, SessionCoverage
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, at, bars_of
from stock_platform_tests.lake.workers import SPAWN, finish, start


def fresh(grid: MinuteGrid = GRID) -> SessionCoverage:
    coverage = SessionCoverage.blank(grid, ["A", "B", "NULL"])
    coverage.set_observed(bars_of([("A", 0), ("A", 1), ("B", 5)], grid))
    coverage.confirm_empty("empty", slice(2, 3), 0, grid.end - 1)
    coverage.confirm_empty("silent", slice(0, 1), 10, 19)
    coverage.checked_at = grid.closes_at
    return coverage


def mark_slots(settings: LakeSettings, symbols: list[str], together: Barrier) -> None:
    """Mark a slot at a time of every symbol, in competition with another process."""
    store = open_store(settings)
    together.wait(60)
    for slot in range(30):
        coverage_table.update(
            store, GRID, lambda coverage, at=slot: _with_slot(coverage, symbols, at)
        )


def _with_slot(coverage: SessionCoverage | None, symbols: list[str], slot: int) -> SessionCoverage:
    changed = coverage or SessionCoverage.blank(GRID, ["A", "B"])
    changed.confirm_empty("observed", changed.rows_of(symbols), slot, slot)
    return changed


def test_a_session_without_a_ledger_has_none(store: ObjectStore) -> None:
    assert coverage_table.load(store, GRID) is None


def test_a_ledger_is_read_back_as_it_was_kept(store: ObjectStore) -> None:
    kept = coverage_table.update(store, GRID, lambda _: fresh())

    found = coverage_table.load(store, GRID)

    assert found is not None
    assert found.to_frame().equals(kept.to_frame())
    assert all(np.array_equal(found.bits[name], kept.bits[name]) for name in BITMAPS)


def test_the_same_ledger_again_is_not_written(disk: ObjectStore) -> None:
    coverage_table.update(disk, GRID, lambda _: fresh())
    [before] = disk.list("coverage")

    coverage_table.update(disk, GRID, lambda coverage: coverage or fresh())

    assert disk.list("coverage") == [before]


def test_a_ledger_of_other_hours_is_none(disk: ObjectStore) -> None:
    coverage_table.update(disk, GRID, lambda _: fresh())

    assert coverage_table.load(disk, EXTENDED.grid(DAY)) is None


def test_two_processes_lose_no_mark(disk: ObjectStore, disk_settings: LakeSettings) -> None:
    together = SPAWN.Barrier(2)

    codes = finish(*(start(mark_slots, disk_settings, [name], together) for name in "AB"))

    found = coverage_table.load(disk, GRID)
    assert codes == [0, 0]
    assert found is not None
    assert found.bits["observed"].sum(axis=1).tolist() == [30, 30]


def test_summaries_add_up_what_the_ledgers_count(store: ObjectStore) -> None:
    kept = coverage_table.update(store, GRID, lambda _: fresh())

    [row] = coverage_table.summaries(store, [DAY, date(2026, 11, 18)]).rows(named=True)

    assert {name: row[name] for name in kept.totals()} == kept.totals()
    assert (row["session"], row["symbols"], row["width"], row["due"]) == (DAY, 3, 390, 390)
    assert (row["checked_at"], row["verified_at"]) == (GRID.closes_at, None)


def test_a_session_counts_as_verified_when_its_last_symbol_is(disk: ObjectStore) -> None:
    coverage = fresh()
    coverage.verified_at[:] = [np.datetime64(f"2026-11-20T0{hour}:00", "us") for hour in (3, 1, 2)]
    coverage_table.update(disk, GRID, lambda _: coverage)

    [row] = coverage_table.summaries(disk, [DAY]).rows(named=True)

    assert row["verified_at"] == at("01:00", date(2026, 11, 20))


def test_nothing_kept_gives_an_empty_summary(store: ObjectStore) -> None:
    assert coverage_table.summaries(store, [DAY]).schema == coverage_table.SUMMARIES
    assert coverage_table.summaries(store, []).is_empty()


def test_minutes_that_were_not_due_are_not_missing(disk: ObjectStore) -> None:
    coverage = fresh()
    coverage.checked_at = GRID.minute(7)
    coverage_table.update(disk, GRID, lambda _: coverage)

    [row] = coverage_table.summaries(disk, [DAY]).rows(named=True)

    assert (row["due"], row["expected"], row["missing"]) == (7, 21, 11)
