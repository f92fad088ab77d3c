"""Ledgers with anything in them, for property tests."""

import numpy as np
from hypothesis import strategies as st

from stock_platform.domain.coverage import BITMAPS, Ledger
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, HALF_DAY, REGULAR, at

SYMBOLS = ["A", "B", "a", "ZZ"]
GRIDS = st.sampled_from([GRID, REGULAR.grid(HALF_DAY), EXTENDED.grid(DAY), EXTENDED.grid(HALF_DAY)])


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Give a ledger with anything in it."""
    ledger = Ledger.blank(draw(GRIDS), draw(st.lists(st.sampled_from(SYMBOLS))))
    seed = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = ledger.bits["observed"].shape
    ledger.bits = {name: seed.random(shape) < draw(st.floats(0, 1)) for name in BITMAPS}
    ledger.attempts = seed.integers(0, 9, len(ledger.symbols), dtype=np.int32)
    instants = np.datetime64("2026-11-19T21:00:00.000001") + seed.integers(0, 10**9, shape[0])
    ledger.next_retry_at = np.where(seed.random(shape[0]) < 0.5, instants, np.datetime64("NaT"))
    ledger.verified_at = np.where(seed.random(shape[0]) < 0.5, instants, np.datetime64("NaT"))
    ledger.authority = seed.choice(np.array(["none", "rest", "final"], dtype=object), shape[0])
    ledger.last_error = seed.choice(np.array(["", "HTTP 503"], dtype=object), shape[0])
    ledger.checked_at = draw(st.none() | st.just(at("21:30")))
    return ledger
