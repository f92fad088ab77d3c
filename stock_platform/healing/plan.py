"""Turn missing minutes into the fewest provider calls within the rate limit.

A range call costs the same for one minute or a whole session, so all missing minutes
of one symbol in one session are one call; many symbols of a closed session are one
flat file.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from stock_platform.domain.coverage import SessionCoverage


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One request to a provider: slots `first` to `last`; symbol None is the session's file."""

    session: date
    symbol: str | None
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds one call of each kind keeps a run busy."""

    range_s: float = 0.05
    file_s: float = 5.0
    calls_max: int = 2_000

    @classmethod
    def of(cls, *, requests_per_minute: int, at_once: int, calls_max: int) -> "Costs":
        """Estimate costs: a limit of N a minute makes each range call 60/N seconds long."""
        alone = 0.2 / max(at_once, 1)
        return cls(
            max(alone, 60 / requests_per_minute if requests_per_minute else 0.0),
            calls_max=calls_max,
        )


@dataclass(frozen=True, slots=True)
class HealPlan:
    """The calls to make, and the symbols left for a later run."""

    calls: tuple[PlannedCall, ...]
    left_out: tuple[str, ...] = ()
    without_file: "HealPlan | None" = None
    """The calls by symbol to make instead when the session's file cannot be had."""


def plan_calls(
    coverage: SessionCoverage, wanted: np.ndarray, *, file_published: bool, costs: Costs
) -> HealPlan:
    """Cover the `wanted` minutes (bool[symbols, width]) with the cheapest calls.

    A file is cheaper for many symbols, and always when they are more than
    `costs.calls_max` calls. Otherwise at most that many symbols are requested, those
    that failed before last: what cannot be filled never keeps the others from it.
    """
    rows = np.flatnonzero(wanted.any(axis=1))
    if not len(rows):
        return HealPlan(())
    by_symbol = _by_symbol(coverage, wanted, rows, costs.calls_max)
    too_many = len(rows) > costs.calls_max or len(rows) * costs.range_s > costs.file_s
    if not (file_published and too_many):
        return by_symbol
    slots = np.flatnonzero(wanted.any(axis=0))
    file = PlannedCall(
        session=coverage.session, symbol=None, first=int(slots[0]), last=int(slots[-1])
    )
    return HealPlan((file,), without_file=by_symbol)


def _by_symbol(
    coverage: SessionCoverage, wanted: np.ndarray, rows: np.ndarray, calls_max: int
) -> HealPlan:
    """Plan one call per row of `wanted`, from its first to its last minute."""
    minutes = wanted[rows].sum(axis=1)
    # Rows are in the order of their symbols; the last key sorts first.
    rows = rows[np.lexsort((rows, -minutes, coverage.attempts[rows] > 0))]
    chosen, left_out = rows[:calls_max], rows[calls_max:]
    first = wanted[chosen].argmax(axis=1)
    last = wanted.shape[1] - 1 - wanted[chosen, ::-1].argmax(axis=1)
    calls = tuple(
        PlannedCall(
            session=coverage.session, symbol=str(coverage.symbols[row]), first=int(a), last=int(b)
        )
        for row, a, b in zip(chosen, first, last, strict=True)
    )
    return HealPlan(calls, tuple(str(symbol) for symbol in coverage.symbols[left_out]))
