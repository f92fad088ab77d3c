"""Planning: the fewest calls that cover the gaps, and a bound on their number."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.healing.plan import Costs, HealPlan, PlannedCall, plan_calls
from stock_platform_tests.domain.examples import DAY, GRID

Gap = tuple[str, int, int]
GAPS = st.lists(
    st.builds(
        lambda symbol, first, length: (symbol, first, first + length),
        st.sampled_from("ABCDEFG"),
        st.integers(0, 300),
        st.integers(0, 89),
    )
)


def plan_of(
    gaps: Iterable[Gap], *, file_published: bool, costs: Costs, failed: Iterable[str] = ()
) -> HealPlan:
    """Plan calls for gaps of (symbol, first slot, last slot); `failed` symbols failed before."""
    listed = list(gaps)
    coverage = SessionCoverage.blank(GRID, {symbol for symbol, *_ in listed})
    wanted = np.zeros((len(coverage.symbols), GRID.width), dtype=bool)
    for symbol, first, last in listed:
        wanted[coverage.rows_of([symbol]), first : last + 1] = True
    before = coverage.rows_of(list(failed))
    coverage.attempts[before[before >= 0]] = 1
    return plan_calls(coverage, wanted, file_published=file_published, costs=costs)


def call(symbol: str | None, first: int, last: int) -> PlannedCall:
    return PlannedCall(session=DAY, symbol=symbol, first=first, last=last)


def test_no_gap_needs_no_call() -> None:
    assert plan_of([], file_published=True, costs=Costs()) == HealPlan(())


def test_all_gaps_of_a_symbol_are_one_range() -> None:
    gaps = [("A", 5, 6), ("A", 100, 110), ("B", 7, 7)]

    plan = plan_of(gaps, file_published=False, costs=Costs())

    assert plan.calls == (call("A", 5, 110), call("B", 7, 7))


@pytest.mark.parametrize(("symbols", "file"), [(100, False), (101, True)])
def test_many_symbols_are_one_file_when_that_is_cheaper(symbols: int, *, file: bool) -> None:
    gaps = [(f"S{n}", n, n) for n in range(symbols)]

    plan = plan_of(gaps, file_published=True, costs=Costs(range_s=0.05, file_s=5.0))

    assert (plan.calls == (call(None, 0, symbols - 1),)) == file


def test_an_unpublished_file_is_not_asked_for() -> None:
    gaps = [(f"S{n:03}", 0, 0) for n in range(500)]

    plan = plan_of(gaps, file_published=False, costs=Costs())

    assert len(plan.calls) == 500


def test_more_symbols_than_calls_are_one_file_when_there_is_one() -> None:
    gaps = [("A", 0, 3), ("B", 9, 9), ("C", 1, 1)]

    plan = plan_of(gaps, file_published=True, costs=Costs(calls_max=2))

    assert (plan.calls, plan.left_out) == ((call(None, 0, 9),), ())


def test_calls_are_bounded_and_what_failed_before_goes_last() -> None:
    gaps = [("A", 0, 300), ("B", 0, 5), ("C", 0, 50), ("D", 0, 5)]

    plan = plan_of(gaps, file_published=False, costs=Costs(calls_max=2), failed=["A"])

    assert [call.symbol for call in plan.calls] == ["C", "B"]
    assert plan.left_out == ("D", "A")


def test_a_budget_of_five_calls_a_minute_makes_the_file_cheap() -> None:
    costs = Costs.of(requests_per_minute=5, at_once=8, calls_max=100)

    plan = plan_of([("A", 0, 1)], file_published=True, costs=costs)

    assert costs.range_s == 12
    assert plan.calls == (call(None, 0, 1),)


def test_without_a_budget_calls_cost_their_share_of_the_wait() -> None:
    assert Costs.of(requests_per_minute=0, at_once=8, calls_max=9) == Costs(0.025, calls_max=9)


@given(
    gaps=GAPS,
    published=st.booleans(),
    calls_max=st.integers(1, 8),
    failed=st.sets(st.sampled_from("ABCDEFG")),
)
def test_every_gap_is_covered_or_its_symbol_left_out(
    *, gaps: list[Gap], published: bool, calls_max: int, failed: set[str]
) -> None:
    costs = Costs(range_s=1.5, file_s=5.0, calls_max=calls_max)

    plan = plan_of(gaps, file_published=published, costs=costs, failed=failed)

    spans = {call.symbol: (call.first, call.last) for call in plan.calls}
    uncovered = {
        symbol
        for symbol, first, last in gaps
        if not any(
            spans[name][0] <= first and last <= spans[name][1]
            for name in (symbol, None)
            if name in spans
        )
    }
    assert uncovered == set(plan.left_out)
    assert len(plan.calls) <= min(calls_max, len({symbol for symbol, *_ in gaps}))
    assert len(spans) == len(plan.calls)


def test_a_file_that_cannot_be_had_leaves_the_calls_by_symbol() -> None:
    gaps = [("A", 0, 3), ("B", 9, 9), ("C", 1, 1)]

    plan = plan_of(gaps, file_published=True, costs=Costs(calls_max=2))

    assert plan.without_file == HealPlan((call("A", 0, 3), call("B", 9, 9)), ("C",))
