"""Finding what is worth a run: not too young, not waiting, not given up."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.healing.apply_response import apply_response
from stock_platform.healing.scheduling import (
    HealRange,
    heal_range_of,
    latest_verification,
    ready,
    unverified,
)
from stock_platform_tests.domain.any_coverage import coverages
from stock_platform_tests.domain.examples import DAY, GRID, HALF_DAY, REGULAR, at, bars_of
from stock_platform_tests.healing.responses import BACKOFF, EVENING, RULES, response

GRACE_S = 120


def need_of(coverage: SessionCoverage, now: datetime) -> HealRange | None:
    return heal_range_of(coverage, now, grace_s=GRACE_S, backoff=BACKOFF, settle=RULES.settle)


def test_a_complete_session_needs_nothing() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    coverage.set_observed(bars_of([("A", slot) for slot in range(389)]))
    coverage.confirm_empty("silent", slice(None), 389, 389)

    assert need_of(coverage, EVENING) is None


def test_a_need_spans_all_missing_minutes_and_counts_them() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B", "C"])
    coverage.confirm_empty("empty", slice(None), 0, 389)
    coverage.bits["empty"][0, [5, 6]] = False
    coverage.bits["empty"][2, 100] = False

    assert need_of(coverage, EVENING) == HealRange(
        session=DAY, first=5, last=100, minutes=3, symbols=2
    )


@pytest.mark.parametrize(("clock", "last"), [("14:33", 0), ("14:34:59", 1), ("23:00", 389)])
def test_a_minute_is_needed_after_the_grace_time(clock: str, last: int) -> None:
    need = need_of(SessionCoverage.blank(GRID, ["A"]), at(clock))

    assert need == HealRange(session=DAY, first=0, last=last, minutes=last + 1, symbols=1)


@pytest.mark.parametrize("clock", ["09:00", "14:30", "14:32:59"])
def test_nothing_is_needed_before_a_minute_is_due(clock: str) -> None:
    assert need_of(SessionCoverage.blank(GRID, ["A"]), at(clock)) is None


def test_a_half_day_needs_nothing_after_its_close() -> None:
    need = need_of(SessionCoverage.blank(REGULAR.grid(HALF_DAY), ["A"]), at("23:00", HALF_DAY))

    assert need == HealRange(session=HALF_DAY, first=0, last=209, minutes=210, symbols=1)


def test_a_symbol_that_waits_is_left_out_until_its_time() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B"])
    apply_response(coverage, response(["A"], outcome="failed", asked_at=EVENING), RULES)

    early, later = need_of(coverage, at("22:01:59")), need_of(coverage, at("22:02"))

    assert (early and early.symbols, later and later.symbols) == (1, 2)


def test_a_symbol_that_is_exhausted_is_left_out_for_good() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B"])
    for _ in range(4):
        apply_response(coverage, response(["A"], outcome="failed"), RULES)

    assert ready(coverage, EVENING + timedelta(days=365), BACKOFF).tolist() == [False, True]


def test_the_last_attempt_is_still_made() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    for _ in range(3):
        apply_response(coverage, response(["A"], outcome="failed"), RULES)

    assert ready(coverage, EVENING + timedelta(minutes=60), BACKOFF).all()


def test_what_was_answered_while_young_is_asked_again_once_it_has_settled() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    apply_response(coverage, response(slots=(0, 0), asked_at=at("14:33")), RULES)
    coverage.confirm_empty("empty", slice(None), 1, 389)

    assert need_of(coverage, at("14:50:59")) is None
    assert need_of(coverage, at("14:51")) == HealRange(
        session=DAY, first=0, last=0, minutes=1, symbols=1
    )


def test_a_young_minute_does_not_hold_up_a_fresh_outage_of_its_symbol() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    apply_response(coverage, response(slots=(0, 0), asked_at=at("14:33")), RULES)

    assert need_of(coverage, at("14:34")) == HealRange(
        session=DAY, first=1, last=1, minutes=1, symbols=1
    )


def test_minutes_that_were_not_over_when_asked_are_not_answered_for() -> None:
    coverage = SessionCoverage.blank(GRID, ["A"])
    apply_response(coverage, response(slots=(0, 389), asked_at=at("14:33")), RULES)

    assert need_of(coverage, at("14:36")) == HealRange(
        session=DAY, first=3, last=3, minutes=1, symbols=1
    )


@given(coverages(), st.integers(-60, 1500))
def test_a_need_never_asks_for_what_is_known_young_or_waiting(
    coverage: SessionCoverage, minutes: int
) -> None:
    now = coverage.grid.opens_at + timedelta(minutes=minutes)

    need = need_of(coverage, now)

    due = coverage.missing(coverage.grid.closed_slots(now, GRACE_S))
    asked = due & ready(coverage, now, BACKOFF)[:, None]
    assert need is None or need.minutes <= asked.sum()
    assert need is None or coverage.grid.first <= need.first <= need.last < coverage.grid.end
    assert need is None or coverage.grid.minute(need.last + 1) <= now - timedelta(seconds=GRACE_S)


HOUR, DAYS = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("waited", "since"),
    [
        (timedelta(minutes=19), None),
        (timedelta(minutes=20), timedelta(minutes=20)),
        (timedelta(minutes=59), timedelta(minutes=20)),
        (HOUR, HOUR),
        (DAYS - HOUR, HOUR),
        (DAYS, DAYS),
        (30 * DAYS, 7 * DAYS),
    ],
)
def test_verification_is_due_after_each_of_its_times(
    waited: timedelta, since: timedelta | None
) -> None:
    close = GRID.closes_at

    latest = latest_verification(
        close, close + waited, settle=RULES.settle, after=(HOUR, DAYS, 7 * DAYS)
    )

    assert latest == (None if since is None else close + since)


def test_unverified_is_what_was_never_verified_or_not_since() -> None:
    coverage = SessionCoverage.blank(GRID, ["A", "B", "C"])
    coverage.verified_at[1] = np.datetime64("2026-11-19T21:59:59.999999")
    coverage.verified_at[2] = np.datetime64("2026-11-19T22:00")

    assert unverified(coverage, EVENING).tolist() == [True, True, False]
