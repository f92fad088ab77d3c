"""Planning: the fewest calls that cover the gaps, and a bound on their number."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import MissingRange
from stock_platform.healing.plan import Costs, HealPlan, PlannedCall, plan_calls
from stock_platform_tests.domain.examples import DAY

GAPS = st.lists(
    st.builds(
        lambda symbol, first, length: MissingRange(symbol, DAY, first, first + length),
        st.sampled_from("ABCDEFG"),
        st.integers(0, 300),
        st.integers(0, 89),
    )
)


def gap(symbol: str, first: int, last: int, session: date = DAY) -> MissingRange:
    return MissingRange(symbol, session, first, last)


def test_no_gap_needs_no_call() -> None:
    assert plan_calls([], file_published=True, costs=Costs()) == HealPlan(())


def test_all_gaps_of_a_symbol_are_one_range() -> None:
    gaps = [gap("A", 5, 6), gap("A", 100, 110), gap("B", 7, 7)]

    plan = plan_calls(gaps, file_published=False, costs=Costs())

    assert plan.calls == (PlannedCall(DAY, "A", 5, 110), PlannedCall(DAY, "B", 7, 7))


@pytest.mark.parametrize(("symbols", "file"), [(100, False), (101, True)])
def test_many_symbols_are_one_file_when_that_is_cheaper(symbols: int, *, file: bool) -> None:
    gaps = [gap(f"S{n}", n, n) for n in range(symbols)]

    plan = plan_calls(gaps, file_published=True, costs=Costs(range_s=0.05, file_s=5.0))

    assert (plan.calls == (PlannedCall(DAY, None, 0, symbols - 1),)) == file


def test_an_unpublished_file_is_not_asked_for() -> None:
    gaps = [gap(f"S{n:03}", 0, 0) for n in range(500)]

    plan = plan_calls(gaps, file_published=False, costs=Costs())

    assert len(plan.calls) == 500


def test_more_symbols_than_calls_are_one_file_when_there_is_one() -> None:
    gaps = [gap("A", 0, 3), gap("B", 9, 9), gap("C", 1, 1)]

    plan = plan_calls(gaps, file_published=True, costs=Costs(calls_max=2))

    assert plan == HealPlan((PlannedCall(DAY, None, 0, 9),))


def test_calls_are_bounded_and_what_failed_before_goes_last() -> None:
    gaps = [gap("A", 0, 300), gap("B", 0, 5), gap("C", 0, 50), gap("D", 0, 5)]

    plan = plan_calls(gaps, file_published=False, costs=Costs(calls_max=2), asked_before=["A"])

    assert [call.symbol for call in plan.calls] == ["C", "B"]
    assert plan.left_out == ("D", "A")


def test_a_budget_of_five_calls_a_minute_makes_the_file_cheap() -> None:
    costs = Costs.of(requests_per_minute=5, at_once=8, calls_max=100)

    plan = plan_calls([gap("A", 0, 1)], file_published=True, costs=costs)

    assert costs.range_s == 12
    assert plan.calls == (PlannedCall(DAY, None, 0, 1),)


def test_without_a_budget_calls_cost_their_share_of_the_wait() -> None:
    assert Costs.of(requests_per_minute=0, at_once=8, calls_max=9) == Costs(0.025, calls_max=9)


@given(
    gaps=GAPS,
    published=st.booleans(),
    calls_max=st.integers(1, 8),
    failed=st.sets(st.sampled_from("ABCDEFG")),
)
def test_every_gap_is_covered_or_its_symbol_left_out(
    *, gaps: list[MissingRange], published: bool, calls_max: int, failed: set[str]
) -> None:
    costs = Costs(range_s=1.5, file_s=5.0, calls_max=calls_max)

    plan = plan_calls(gaps, file_published=published, costs=costs, asked_before=sorted(failed))

    spans = {call.symbol: (call.first, call.last) for call in plan.calls}
    uncovered = {
        one.symbol
        for one in gaps
        if not any(
            spans[name][0] <= one.first and one.last <= spans[name][1]
            for name in (one.symbol, None)
            if name in spans
        )
    }
    assert uncovered == set(plan.left_out)
    assert len(plan.calls) <= min(calls_max, len({one.symbol for one in gaps}))
    assert len(spans) == len(plan.calls)
