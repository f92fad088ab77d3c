"""Finding what is worth a run: not too young, not waiting, not given up."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import Ledger
from stock_platform.healing.apply_response import judge
from stock_platform.healing.scheduling import (
    Need,
    find_need,
    latest_verification,
    ready,
    unverified,
)
from stock_platform_tests.domain.any_ledger import ledgers
from stock_platform_tests.domain.examples import DAY, GRID, HALF_DAY, REGULAR, at, bars_of
from stock_platform_tests.healing.answers import BACKOFF, EVENING, RULES, answer

GRACE_S = 120


def need_of(ledger: Ledger, now: datetime) -> Need | None:
    return find_need(ledger, now, grace_s=GRACE_S, backoff=BACKOFF, settle=RULES.settle)


def test_a_complete_session_needs_nothing() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    ledger.set_observed(bars_of([("A", slot) for slot in range(389)]))
    ledger.mark("silent", slice(None), 389, 389)

    assert need_of(ledger, EVENING) is None


def test_a_need_spans_all_missing_minutes_and_counts_them() -> None:
    ledger = Ledger.blank(GRID, ["A", "B", "C"])
    ledger.mark("empty", slice(None), 0, 389)
    ledger.bits["empty"][0, [5, 6]] = False
    ledger.bits["empty"][2, 100] = False

    assert need_of(ledger, EVENING) == Need(DAY, 5, 100, minutes=3, symbols=2)


@pytest.mark.parametrize(("clock", "last"), [("14:33", 0), ("14:34:59", 1), ("23:00", 389)])
def test_a_minute_is_needed_after_the_grace_time(clock: str, last: int) -> None:
    need = need_of(Ledger.blank(GRID, ["A"]), at(clock))

    assert need == Need(DAY, 0, last, minutes=last + 1, symbols=1)


@pytest.mark.parametrize("clock", ["09:00", "14:30", "14:32:59"])
def test_nothing_is_needed_before_a_minute_is_due(clock: str) -> None:
    assert need_of(Ledger.blank(GRID, ["A"]), at(clock)) is None


def test_a_half_day_needs_nothing_after_its_close() -> None:
    need = need_of(Ledger.blank(REGULAR.grid(HALF_DAY), ["A"]), at("23:00", HALF_DAY))

    assert need == Need(HALF_DAY, 0, 209, minutes=210, symbols=1)


def test_a_symbol_that_waits_is_left_out_until_its_time() -> None:
    ledger = Ledger.blank(GRID, ["A", "B"])
    judge(ledger, answer(["A"], outcome="failed", asked_at=EVENING), RULES)

    early, later = need_of(ledger, at("22:01:59")), need_of(ledger, at("22:02"))

    assert (early and early.symbols, later and later.symbols) == (1, 2)


def test_a_symbol_that_is_exhausted_is_left_out_for_good() -> None:
    ledger = Ledger.blank(GRID, ["A", "B"])
    for _ in range(4):
        judge(ledger, answer(["A"], outcome="failed"), RULES)

    assert ready(ledger, EVENING + timedelta(days=365), BACKOFF).tolist() == [False, True]


def test_the_last_attempt_is_still_made() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    for _ in range(3):
        judge(ledger, answer(["A"], outcome="failed"), RULES)

    assert ready(ledger, EVENING + timedelta(minutes=60), BACKOFF).all()


def test_what_was_answered_while_young_is_asked_again_once_it_has_settled() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    judge(ledger, answer(slots=(0, 0), asked_at=at("14:33")), RULES)
    ledger.mark("empty", slice(None), 1, 389)

    assert need_of(ledger, at("14:50:59")) is None
    assert need_of(ledger, at("14:51")) == Need(DAY, 0, 0, minutes=1, symbols=1)


def test_a_young_minute_does_not_hold_up_a_fresh_outage_of_its_symbol() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    judge(ledger, answer(slots=(0, 0), asked_at=at("14:33")), RULES)

    assert need_of(ledger, at("14:34")) == Need(DAY, 1, 1, minutes=1, symbols=1)


def test_minutes_that_were_not_over_when_asked_are_not_answered_for() -> None:
    ledger = Ledger.blank(GRID, ["A"])
    judge(ledger, answer(slots=(0, 389), asked_at=at("14:33")), RULES)

    assert need_of(ledger, at("14:36")) == Need(DAY, 3, 3, minutes=1, symbols=1)


@given(ledgers(), st.integers(-60, 1500))
def test_a_need_never_asks_for_what_is_known_young_or_waiting(ledger: Ledger, minutes: int) -> None:
    now = ledger.grid.opens_at + timedelta(minutes=minutes)

    need = need_of(ledger, now)

    due = ledger.missing(ledger.grid.due(now, GRACE_S))
    asked = due & ready(ledger, now, BACKOFF)[:, None]
    assert need is None or need.minutes <= asked.sum()
    assert need is None or ledger.grid.first <= need.first <= need.last < ledger.grid.end
    assert need is None or ledger.grid.minute(need.last + 1) <= now - timedelta(seconds=GRACE_S)


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
    ledger = Ledger.blank(GRID, ["A", "B", "C"])
    ledger.verified_at[1] = np.datetime64("2026-11-19T21:59:59.999999")
    ledger.verified_at[2] = np.datetime64("2026-11-19T22:00")

    assert unverified(ledger, EVENING).tolist() == [True, True, False]
