"""Ledgers with anything in them, for property tests."""

import numpy as np
from hypothesis import strategies as st

from stock_platform.domain.coverage import BITMAPS, SessionCoverage
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, HALF_DAY, REGULAR, at

SYMBOLS = ["A", "B", "a", "ZZ"]
GRIDS = st.sampled_from([GRID, REGULAR.grid(HALF_DAY), EXTENDED.grid(DAY), EXTENDED.grid(HALF_DAY)])


@st.composite
def coverages(draw: st.DrawFn) -> SessionCoverage:
    """Return a ledger with anything in it."""
    coverage = SessionCoverage.blank(draw(GRIDS), draw(st.lists(st.sampled_from(SYMBOLS))))
    seed = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = coverage.bits["observed"].shape
    coverage.bits = {name: seed.random(shape) < draw(st.floats(0, 1)) for name in BITMAPS}
    coverage.attempts = seed.integers(0, 9, len(coverage.symbols), dtype=np.int32)
    instants = np.datetime64("2026-11-19T21:00:00.000001") + seed.integers(0, 10**9, shape[0])
    coverage.next_retry_at = np.where(seed.random(shape[0]) < 0.5, instants, np.datetime64("NaT"))
    coverage.verified_at = np.where(seed.random(shape[0]) < 0.5, instants, np.datetime64("NaT"))
    coverage.authority = seed.choice(np.array(["none", "rest", "final"], dtype=object), shape[0])
    coverage.last_error = seed.choice(np.array(["", "HTTP 503"], dtype=object), shape[0])
    coverage.checked_at = draw(st.none() | st.just(at("21:30")))
    return coverage
