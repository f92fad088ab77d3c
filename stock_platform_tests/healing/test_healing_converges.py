"""The whole of healing in one loop: no gap forgotten, none asked for without end."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.healing.apply_response import SettlementPolicy, apply_response
from stock_platform.healing.plan import Costs, PlannedCall, plan_calls
from stock_platform.healing.retry import RetrySchedule
from stock_platform.healing.scheduling import (
    HealHistory,
    HealRange,
    heal_range_of,
    retryable,
    select_sessions,
)
from stock_platform_tests.domain.examples import DAY, HALF_DAY, REGULAR
from stock_platform_tests.healing.responses import response

SYMBOLS = ["A", "B", "C", "D"]
GRIDS = [REGULAR.grid(day) for day in REGULAR.sessions(DAY, HALF_DAY)]
RULES = SettlementPolicy(timedelta(minutes=20), RetrySchedule.from_minutes((2, 10, 60, 360, 1440)))
OUTAGE_MAX = 20 * 60
"""Minutes. An outage longer than all waits together exhausts every symbol: an alarm, by design."""
COSTS = Costs(range_s=1, file_s=2.5, calls_max=3)


@dataclass
class Provider:
    """Knows which minutes traded; down at some times, and always for some symbols."""

    traded: set[tuple[str, int]]
    hopeless: set[str]
    down: tuple[int, int]
    """First minute and length of an outage."""
    publishes: bool
    asked: Counter[tuple[date, str | None]] = field(default_factory=Counter)

    def response(self, call: PlannedCall, now: datetime) -> ProviderResponse:
        self.asked[call.session, call.symbol] += 1
        grid = REGULAR.grid(call.session)
        minutes_in = (now - GRIDS[0].opens_at) // timedelta(minutes=1)
        broken = self.down[0] <= minutes_in < sum(self.down) or call.symbol in self.hopeless
        over = (now - grid.starts_at) // timedelta(minutes=1)
        return response(
            [call.symbol] if call.symbol else None,
            slots=(call.first, call.last) if call.symbol else None,
            asked_at=now,
            grid=grid,
            outcome="failed" if broken else "ok",
            revision=Revision.REST if call.symbol else Revision.FINAL,
            bars=[]
            if broken
            else [
                (symbol, slot)
                for symbol, slot in self.traded
                if call.symbol in {symbol, None}
                and call.first <= slot <= call.last
                and slot < min(over, grid.end)
                and not (call.symbol is None and symbol in self.hopeless)
            ],
        )

    def has_file_of(self, session: date, now: datetime) -> bool:
        return self.publishes and now > REGULAR.grid(session).closes_at + timedelta(hours=12)


def heal(coverage: SessionCoverage, need: HealRange, provider: Provider, now: datetime) -> None:
    """Do what a heal run does: plan the ready gaps of the span, ask, judge."""
    wanted = coverage.missing(coverage.grid.closed_slots(now, 0))
    wanted &= retryable(coverage, now, backoff=RULES.retry, settle=RULES.settle)
    wanted[:, : need.first] = wanted[:, need.last + 1 :] = False
    published = provider.has_file_of(coverage.session, now)
    plan = plan_calls(coverage, wanted, file_published=published, costs=COSTS)
    for call in plan.calls:
        apply_response(coverage, provider.response(call, now), RULES)


# Nine days of ticks are slow to shrink; a failing example is small enough as it comes.
@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    traded=st.sets(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 389)), max_size=40),
    hopeless=st.sets(st.sampled_from(SYMBOLS), max_size=2),
    down=st.tuples(st.integers(0, 3000), st.integers(0, OUTAGE_MAX)),
    publishes=st.booleans(),
    first_tick=st.integers(0, 4000),
)
def test_every_minute_that_can_be_known_is_known_in_the_end(
    *,
    traded: set[tuple[str, int]],
    hopeless: set[str],
    down: tuple[int, int],
    publishes: bool,
    first_tick: int,
) -> None:
    provider = Provider(traded, hopeless, down, publishes)
    coverages = {grid.session: SessionCoverage.blank(grid, SYMBOLS) for grid in GRIDS}
    asked: dict[date, HealHistory] = {}
    now = GRIDS[0].opens_at + timedelta(minutes=first_tick)
    end = GRIDS[-1].closes_at + timedelta(days=9)

    while now < end:
        needs = [
            heal_range_of(coverage, now, grace_s=120, backoff=RULES.retry, settle=RULES.settle)
            for coverage in coverages.values()
        ]
        chosen = select_sessions(
            filter(None, needs), asked, now, backoff=RULES.retry, sessions_max=2
        )
        for need, entry in chosen:
            heal(coverages[need.session], need, provider, now)
            asked[need.session] = entry
        now += timedelta(minutes=10 if chosen else 60)

    for grid in GRIDS:
        coverage = coverages[grid.session]
        left = {str(coverage.symbols[row]) for row in range(4) if coverage.missing()[row].any()}
        assert left <= hopeless
        seen = {(s, slot) for s, slot in traded if s not in hopeless and slot < grid.end}
        rows = coverage.rows_of(sorted(set(SYMBOLS) - hopeless))
        assert coverage.bits["observed"][rows][:, : grid.end].sum() == len(seen)
    assert all(provider.asked[grid.session, name] <= 6 for grid in GRIDS for name in hopeless)
