"""Backing off: longer each time, and an end."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.healing.retry import RetrySchedule
from stock_platform_tests.domain.examples import at

NOW = at("15:00")
BACKOFF = RetrySchedule.from_minutes((2, 10.5, 60))


@pytest.mark.parametrize(("failures", "minutes"), [(-1, 0), (0, 0), (1, 2), (2, 10.5), (3, 60)])
def test_each_failure_waits_its_own_time(failures: int, minutes: float) -> None:
    assert BACKOFF.next_at(failures, NOW) == NOW + timedelta(minutes=minutes)


def test_after_the_last_wait_there_is_no_next_time() -> None:
    assert BACKOFF.next_at(4, NOW) is None


@given(st.lists(st.floats(0, 10_000), max_size=8).map(tuple), st.integers(-2, 12))
def test_exhausted_means_no_next_time(minutes: tuple[float, ...], failures: int) -> None:
    backoff = RetrySchedule.from_minutes(minutes)

    assert backoff.exhausted(failures) == (backoff.next_at(failures, NOW) is None)


def test_without_waits_the_first_failure_is_the_last() -> None:
    assert RetrySchedule(()).exhausted(1)
    assert not RetrySchedule(()).exhausted(0)
