"""Processes that die or hang are replaced; those that only take their time are not."""

import time
from collections.abc import Iterator

import pytest

from stock_platform.stream.processes import RESTART_S, ManagedProcess
from stock_platform_tests.stream.servers import wait_until

HUNG_S = 0.3


@pytest.fixture
def sleeper() -> Iterator[ManagedProcess]:
    child = ManagedProcess(name="sleeper", main=time.sleep, options=60.0, hung_s=HUNG_S)
    child.ensure_running(time.monotonic())
    yield child
    child.stop(1)


def test_a_process_that_reports_is_left_alone(sleeper: ManagedProcess) -> None:
    time.sleep(2 * HUNG_S)

    sleeper.kill_hung(time.time())

    assert sleeper.alive


def test_a_process_that_hangs_is_killed_and_replaced(sleeper: ManagedProcess) -> None:
    """SIGTERM would not reach one that is stopped; a report of an earlier one does not count."""
    first = sleeper.pid
    time.sleep(2 * HUNG_S)

    sleeper.kill_hung(time.time() - 2 * HUNG_S)
    wait_until(lambda: not sleeper.alive)
    sleeper.ensure_running(time.monotonic())
    at_once = sleeper.alive
    sleeper.ensure_running(time.monotonic() + RESTART_S)

    assert not at_once
    assert sleeper.alive
    assert sleeper.pid != first
    assert sleeper.restarts == 1


def test_a_process_that_may_be_silent_is_never_taken_for_hung(sleeper: ManagedProcess) -> None:
    sleeper.hung_s = 0
    time.sleep(2 * HUNG_S)

    sleeper.kill_hung(0)

    assert sleeper.alive


def test_a_process_that_dies_at_once_is_started_ever_more_slowly() -> None:
    child = ManagedProcess(name="short", main=time.sleep, options=0.0)
    waits, now = [], time.monotonic()
    for _ in range(8):
        child.ensure_running(now)
        wait_until(lambda: not child.alive)
        child.ensure_running(now)
        waits.append(child._start_at - now)
        now = child._start_at
    child.stop(1)

    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 15, 15, 15])
