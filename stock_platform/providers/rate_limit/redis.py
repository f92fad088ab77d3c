"""Request budgets in Redis, for the processes of several machines."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis
from pyrate_limiter import Rate, RateItem, RedisBucket
from pyrate_limiter.buckets.redis_bucket import LuaScript
from redis.exceptions import NoScriptError, RedisError

from stock_platform.errors import TransientError
from stock_platform.providers.rate_limit.limiter import LEAK_EVERY, to_seconds

Result = TypeVar("Result")

# pyrate-limiter counts up to the caller's own instant and overlooks whoever read the clock
# later but came first: of four busy processes one request in 400 was too many.
_PUT = LuaScript.PUT_ITEM.replace("window_start, now)", "window_start, '+inf')")
_TIMEOUT_S = 30.0
_SCRIPT_LOST_S = 0.05


class RedisStore:
    """Request budgets in Redis, by Redis's own clock: for the processes of several machines."""

    def __init__(self, url: str, *, prefix: str = "stocks:budget") -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        self._prefix = prefix
        self._threads = threading.Lock()
        self._buckets: dict[str, RedisBucket] = {}
        self._acquired = 0

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Count one request of `name` and return 0, or return the seconds until one may be free."""
        # A bucket keeps its last refusal, so its put and its waiting belong together.
        with self._threads:
            return _or_transient(lambda: self._acquire_or_reload(name, rates))

    def pause(self, name: str, delay_s: float) -> None:
        """Let no request of `name` through for `delay_s`; never shortens a pause."""
        _or_transient(lambda: self._keep_paused(self._pause_key(name), max(1, int(delay_s * 1000))))

    def close(self) -> None:
        self._redis.close()

    def _acquire_or_reload(self, name: str, rates: Sequence[Rate]) -> float:
        try:
            return self._acquire(name, rates)
        except NoScriptError:
            # Redis was restarted and lost the script: load it anew with the bucket.
            self._buckets.clear()
            return _SCRIPT_LOST_S

    def _keep_paused(self, key: str, delay_ms: int) -> None:
        if int(self._redis.pttl(key)) < delay_ms:  # pyright: ignore[reportArgumentType]
            self._redis.set(key, 1, px=delay_ms)

    def _acquire(self, name: str, rates: Sequence[Rate]) -> float:
        left_ms = int(self._redis.pttl(self._pause_key(name)))  # pyright: ignore[reportArgumentType]
        if left_ms > 0:
            return left_ms / 1000
        if not rates:
            return 0.0
        if name not in self._buckets:
            key = f"{self._prefix}:requests:{name}"
            digest = self._redis.script_load(_PUT)
            self._buckets[name] = RedisBucket(list(rates), self._redis, key, str(digest))
        return self._put(self._buckets[name], name)

    def _put(self, bucket: RedisBucket, name: str) -> float:
        seconds, micros = self._redis.time()  # pyright: ignore[reportGeneralTypeIssues]
        now = int(seconds) * 1000 + int(micros) // 1000
        item = RateItem(name, now)
        if not bucket.put(item):
            return to_seconds(bucket.waiting(item))
        self._acquired += 1
        if self._acquired % LEAK_EVERY == 0:
            bucket.leak(now)
        return 0.0

    def _pause_key(self, name: str) -> str:
        return f"{self._prefix}:hold:{name}"


def _or_transient(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except (RedisError, OSError) as error:
        reason = type(error).__name__
    # Outside of the handler: the client's exceptions may name its address and password.
    raise TransientError(f"the request budget's Redis cannot be used: {reason}")
