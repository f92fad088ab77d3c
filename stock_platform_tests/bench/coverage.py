"""Bench of coverage: the sensor's read, a year surveyed.

`python -m stock_platform_tests.bench.coverage`
"""

import tempfile
from datetime import date

import numpy as np

from stock_platform.domain.coverage import SessionCoverage, runs
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import tables
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform_tests.bench.bars import session_bars, symbols
from stock_platform_tests.bench.measured import best_of
from stock_platform_tests.bench.report import Report

SYMBOLS = 8_000
SESSIONS = 252
LAST = date(2026, 11, 19)
SHAPES = 8
"""Different sessions; the year repeats them."""


def shaped(grid: MinuteGrid, seed: int) -> SessionCoverage:
    """Return a settled session as real ones are: most symbols lack minutes, few are missing.

    A twentieth of the symbols has an outage of half an hour that nobody has
    explained yet; what else is absent is proven empty.
    """
    random = np.random.default_rng(seed)
    coverage = SessionCoverage.blank(grid, symbols(SYMBOLS))
    coverage.set_observed(session_bars(SYMBOLS, session=grid.session, density=None, seed=seed))
    coverage.bits["empty"][:] = ~coverage.bits["observed"]
    for row in random.choice(SYMBOLS, SYMBOLS // 20, replace=False):
        first = int(random.integers(grid.first, grid.end - 30))
        coverage.bits["observed"][row, first : first + 30] = False
        coverage.bits["empty"][row, first : first + 30] = False
    coverage.checked_at = grid.closes_at
    return coverage


def fill_year(store: ObjectStore, grids: list[MinuteGrid]) -> None:
    made = []
    for seed, grid in enumerate(grids[:SHAPES]):
        coverage_table.update(store, grid, lambda _, grid=grid, seed=seed: shaped(grid, seed))
        found = store.get(tables.data("coverage", grid.session))
        assert found is not None
        made.append(found[0])
    for n, grid in enumerate(grids[SHAPES:]):
        store.put_if_absent(tables.data("coverage", grid.session), made[n % SHAPES])


def sensor_tick(store: ObjectStore, grids: list[MinuteGrid]) -> int:
    """Read the newest five sessions and return their gaps, as the sensor does."""
    gaps = 0
    for grid in grids[-5:]:
        coverage = coverage_table.load(store, grid)
        assert coverage is not None
        gaps += len(runs(coverage.missing(grid.closed_slots(grid.closes_at, 0)))[0])
    return gaps


def main() -> None:
    report = Report("Coverage of 8,000 symbols")
    calendar = Calendar()
    sessions = calendar.sessions(date(2025, 10, 1), LAST)[-SESSIONS:]
    grids = [calendar.grid(session) for session in sessions]
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore.open(folder)
        fill_year(store, grids)
        tick = best_of(5, lambda: sensor_tick(store, grids))
        report.add("sensor tick over the last five sessions", tick * 1e3, "ms", "< 200")
        scan = best_of(5, lambda: coverage_table.summaries(store, sessions))
        report.add("252 sessions scanned", scan, "s", "< 0.3")
        sql = "SELECT session, sum(missing) AS missing FROM coverage GROUP BY session"
        asked = best_of(3, lambda: query(store, sql))
        report.add("252 sessions, counts of every symbol added up in SQL", asked, "s")
        one = best_of(5, lambda: coverage_table.update(store, grids[-1], _minute_observed))
        report.add("one more minute marked and kept", one * 1e3, "ms")
        report.add("ledger of a session", store.list("coverage")[-1].size / 1e3, "kB")
    report.finish()


def _minute_observed(coverage: SessionCoverage | None) -> SessionCoverage:
    assert coverage is not None
    coverage.confirm_empty("observed", slice(None), 200, 200)
    coverage.attempts += 1  # another ledger each time, or nothing would be written
    return coverage


if __name__ == "__main__":
    main()
