"""A ledger, driven at random, against sets of minutes that could not be simpler."""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stock_platform.domain.coverage import SessionCoverage
from stock_platform_tests.domain.examples import HALF_DAY, REGULAR, bars_of

SYMBOLS = ["A", "B", "C"]
GRID = REGULAR.grid(HALF_DAY)
SLOTS = st.integers(-2, 395)
CELLS = st.lists(st.tuples(st.sampled_from([*SYMBOLS, "stranger"]), SLOTS), max_size=8)
MARKS = st.sampled_from(["empty", "silent", "refused"])

Cells = set[tuple[str, int]]


class LedgerMachine(RuleBasedStateMachine):
    """Every rule does to both what its name says; the invariant compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.coverage = SessionCoverage.blank(GRID, SYMBOLS)
        self.known: dict[str, Cells] = {
            name: set() for name in ("observed", "empty", "silent", "refused", "healed")
        }

    @rule(cells=CELLS)
    def bars_are_streamed(self, cells: list[tuple[str, int]]) -> None:
        fresh = on_grid(cells) - self.known["observed"]
        assert self.coverage.set_observed(bars_of(cells, GRID)) == len(fresh)
        self.known["observed"] |= fresh

    @rule(cells=CELLS)
    def bars_are_healed(self, cells: list[tuple[str, int]]) -> None:
        fresh = on_grid(cells) - self.known["observed"]
        assert self.coverage.set_observed(bars_of(cells, GRID), healed=True) == len(fresh)
        self.known["observed"] |= fresh
        self.known["healed"] |= fresh

    @rule(cells=CELLS)
    def observed_is_rebuilt(self, cells: list[tuple[str, int]]) -> None:
        self.coverage.rebuild_observed(bars_of(cells, GRID))
        self.known["observed"] = on_grid(cells)
        self.known["healed"] &= self.known["observed"]

    @rule(name=MARKS, symbols=st.sets(st.sampled_from(SYMBOLS)), first=SLOTS, last=SLOTS)
    def minutes_are_marked(self, name: str, symbols: set[str], first: int, last: int) -> None:
        self.coverage.confirm_empty(name, self.coverage.rows_of(sorted(symbols)), first, last)
        self.known[name] |= on_grid((s, slot) for s in symbols for slot in range(first, last + 1))

    @rule()
    def it_is_stored_and_read_back(self) -> None:
        self.coverage = SessionCoverage.from_frame(GRID, self.coverage.to_frame())

    @invariant()
    def the_counts_are_those_of_the_sets(self) -> None:
        known = self.known
        expected = {(symbol, slot) for symbol in SYMBOLS for slot in range(210)}
        observed = known["observed"] & expected
        empty = (known["empty"] & expected) - observed
        silent = (known["silent"] & expected) - observed - empty
        missing = expected - observed - empty - silent
        assert self.coverage.totals() == {
            "expected": len(expected),
            "observed": len(observed),
            "empty": len(empty),
            "silent": len(silent),
            "missing": len(missing),
            "refused": len(missing & known["refused"]),
            "healed": len(observed & known["healed"]),
        }


def on_grid(cells: Iterable[tuple[str, int]]) -> Cells:
    return {(s, slot) for s, slot in cells if s in SYMBOLS and 0 <= slot < 390}


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


class TestLedger(LedgerMachine.TestCase):
    """Collected by pytest."""
