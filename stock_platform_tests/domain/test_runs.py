"""Gaps: runs of missing minutes, exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stock_platform.domain.coverage import runs


@given(arrays(bool, st.tuples(st.integers(0, 5), st.integers(0, 40))))
def test_runs_are_exactly_the_mask(mask: np.ndarray) -> None:
    row, first, last = runs(mask)

    rebuilt = np.zeros_like(mask)
    for r, a, b in zip(row, first, last, strict=True):
        assert not rebuilt[r, max(a - 1, 0) : b + 1].any()
        rebuilt[r, a : b + 1] = True
    assert (rebuilt == mask).all()
