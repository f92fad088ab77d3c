"""Turn gaps into the fewest provider calls within the budget.

A range call costs the same for one minute or a whole session, so all gaps of
one symbol in one session are one call; many symbols of a closed session are
one flat file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from stock_platform.domain.coverage import MissingRange


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One question to a provider: slots `first` to `last`; symbol None is the session's file."""

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
        """Estimate costs: a budget of N a minute makes each range call 60/N seconds long."""
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


def plan_calls(
    gaps: Iterable[MissingRange],
    *,
    file_published: bool,
    costs: Costs,
    asked_before: Sequence[str] = (),
) -> HealPlan:
    """Cover `gaps` of one session with the cheapest calls.

    A file is cheaper for many symbols, and always when they are more than
    `costs.calls_max` calls. Otherwise at most so many are asked, those that failed
    before last: what cannot be filled never keeps the others from being asked.
    """
    spans: dict[str, tuple[date, int, int, int]] = {}
    for gap in gaps:
        session, first, last, minutes = spans.get(gap.symbol, (gap.session, gap.first, gap.last, 0))
        spans[gap.symbol] = (
            session,
            min(first, gap.first),
            max(last, gap.last),
            minutes + gap.minutes,
        )
    if not spans:
        return HealPlan(())
    too_many = len(spans) > costs.calls_max or len(spans) * costs.range_s > costs.file_s
    if file_published and too_many:
        session = next(iter(spans.values()))[0]
        first = min(span[1] for span in spans.values())
        last = max(span[2] for span in spans.values())
        return HealPlan((PlannedCall(session, None, first, last),))
    failed = set(asked_before)
    order = sorted(spans, key=lambda symbol: (symbol in failed, -spans[symbol][3], symbol))
    calls = tuple(
        PlannedCall(spans[symbol][0], symbol, spans[symbol][1], spans[symbol][2])
        for symbol in order[: costs.calls_max]
    )
    return HealPlan(calls, tuple(order[costs.calls_max :]))
