"""Gaps: runs of missing minutes, exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stock_platform.domain.coverage import MissingRange, SessionCoverage, runs, to_missing_ranges
from stock_platform_tests.domain.any_ledger import coverages
from stock_platform_tests.domain.examples import DAY, GRID, bars_of


@given(arrays(bool, st.tuples(st.integers(0, 5), st.integers(0, 40))))
def test_runs_are_exactly_the_mask(mask: np.ndarray) -> None:
    row, first, last = runs(mask)

    rebuilt = np.zeros_like(mask)
    for r, a, b in zip(row, first, last, strict=True):
        assert not rebuilt[r, max(a - 1, 0) : b + 1].any()
        rebuilt[r, a : b + 1] = True
    assert (rebuilt == mask).all()


@given(coverages())
def test_gaps_are_exactly_what_is_missing(coverage: SessionCoverage) -> None:
    gaps = to_missing_ranges(coverage, coverage.missing())

    cells = {(gap.symbol, slot) for gap in gaps for slot in range(gap.first, gap.last + 1)}
    missing = {
        (str(coverage.symbols[row]), int(slot)) for row, slot in np.argwhere(coverage.missing())
    }
    assert cells == missing
    assert sum(gap.minutes for gap in gaps) == len(missing)


def test_a_gap_names_its_symbol_and_minutes() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B"])
    coverage.set_observed(bars_of([("B", slot) for slot in range(390) if slot not in {5, 6, 9}]))
    coverage.confirm_empty("empty", coverage.rows_of(["A"]), 0, 389)

    assert to_missing_ranges(coverage, coverage.missing()) == [
        MissingRange("B", DAY, 5, 6),
        MissingRange("B", DAY, 9, 9),
    ]
