"""Where request budgets are counted: a SQLite file or Redis.

pyrate-limiter's buckets are used without its `Limiter`: that one stamps a
request that had to wait with the planned instant, not the actual one, and two
requests would then be closer together than recorded.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import filelock
import redis
from pyrate_limiter import Rate, RateItem, RedisBucket, SQLiteBucket, SQLiteQueries
from pyrate_limiter.buckets.redis_bucket import LuaScript
from redis.exceptions import NoScriptError, RedisError

from stock_platform.errors import TransientError
from stock_platform.providers.rate_limit.limiter import RateLimitStore

Given = TypeVar("Given")

# pyrate-limiter counts up to the caller's own instant and overlooks whoever read the clock
# later but came first: of four busy processes one request in 400 was too many.
_PUT = LuaScript.PUT_ITEM.replace("window_start, now)", "window_start, '+inf')")
_LOCK_TIMEOUT_S = 30.0
_LEAK_EVERY = 64
_SCRIPT_LOST_S = 0.05


def open_store(where: str) -> RateLimitStore:
    """Open redis://..., rediss://... or a SQLite file that all processes share."""
    if where.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(where)
    return SqliteStore(Path(where))


class SqliteStore:
    """Budgets in a SQLite file, under a file lock: for the processes of one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S)
        # One process's threads share a connection; the file lock keeps other processes out.
        self._threads = threading.Lock()
        self._buckets: dict[str, SQLiteBucket] = {}
        self._taken = 0
        with self._alone():
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=_LOCK_TIMEOUT_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS holds (name TEXT PRIMARY KEY, until_ms INTEGER)"
            )
            self._db.commit()

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Take one request of `name` and give 0, or give the seconds until one may be free."""
        with self._alone():
            return self._take(name, rates)

    def pause(self, name: str, delay_s: float) -> None:
        """Let `take` of `name` give nothing for `delay_s`; never shortens a hold."""
        until = _wall_ms() + int(delay_s * 1000)
        with self._alone():
            self._db.execute(
                "INSERT INTO holds VALUES (?, ?) ON CONFLICT (name) "
                "DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)",
                (name, until),
            )
            self._db.commit()

    def close(self) -> None:
        with self._threads:
            self._db.close()

    @contextmanager
    def _alone(self) -> Generator[None]:
        try:
            with self._threads, self._lock:
                yield
        except (sqlite3.Error, filelock.Timeout, OSError) as error:
            reason = type(error).__name__
            raise TransientError(f"the request budget's file cannot be used: {reason}") from error

    def _take(self, name: str, rates: Sequence[Rate]) -> float:
        now = _wall_ms()
        held = self._db.execute("SELECT until_ms FROM holds WHERE name = ?", (name,)).fetchone()
        if held and held[0] > now:
            return (held[0] - now) / 1000
        if not rates:
            return 0.0
        bucket = self._bucket(name, rates)
        item = RateItem(name, now)
        if not bucket.put(item):
            return _to_seconds(bucket.waiting(item))
        self._taken += 1
        if self._taken % _LEAK_EVERY == 0:
            bucket.leak(now)
        return 0.0

    def _bucket(self, name: str, rates: Sequence[Rate]) -> SQLiteBucket:
        if name not in self._buckets:
            # The name of a table cannot be a parameter; a digest is safe in one.
            table = f"requests_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
            self._db.execute(SQLiteQueries.CREATE_BUCKET_TABLE.format(table=table))
            self._db.execute(
                SQLiteQueries.CREATE_INDEX_ON_TIMESTAMP.format(
                    index_name=f"by_time_{table}", table_name=table
                )
            )
            self._db.commit()
            self._buckets[name] = SQLiteBucket(list(rates), self._db, table)
        return self._buckets[name]


class RedisStore:
    """Budgets in Redis, by Redis's own clock: for the processes of several machines."""

    def __init__(self, url: str, *, prefix: str = "stocks:budget") -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_LOCK_TIMEOUT_S, socket_connect_timeout=_LOCK_TIMEOUT_S
        )
        self._prefix = prefix
        self._threads = threading.Lock()
        self._buckets: dict[str, RedisBucket] = {}
        self._taken = 0

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Take one request of `name` and give 0, or give the seconds until one may be free."""
        # A bucket remembers its last refusal, so its put and its waiting belong together.
        with self._threads:
            return _redis_answer(lambda: self._take_or_reload(name, rates))

    def pause(self, name: str, delay_s: float) -> None:
        """Let `take` of `name` give nothing for `delay_s`; never shortens a hold."""
        _redis_answer(lambda: self._hold(self._hold_key(name), max(1, int(delay_s * 1000))))

    def close(self) -> None:
        self._redis.close()

    def _take_or_reload(self, name: str, rates: Sequence[Rate]) -> float:
        try:
            return self._take(name, rates)
        except NoScriptError:
            # Redis was restarted and lost the script: load it anew with the bucket.
            self._buckets.clear()
            return _SCRIPT_LOST_S

    def _hold(self, key: str, delay_ms: int) -> None:
        if int(self._redis.pttl(key)) < delay_ms:  # pyright: ignore[reportArgumentType]
            self._redis.set(key, 1, px=delay_ms)

    def _take(self, name: str, rates: Sequence[Rate]) -> float:
        left_ms = int(self._redis.pttl(self._hold_key(name)))  # pyright: ignore[reportArgumentType]
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
            return _to_seconds(bucket.waiting(item))
        self._taken += 1
        if self._taken % _LEAK_EVERY == 0:
            bucket.leak(now)
        return 0.0

    def _hold_key(self, name: str) -> str:
        return f"{self._prefix}:hold:{name}"


def _redis_answer(ask: Callable[[], Given]) -> Given:
    try:
        return ask()
    except (RedisError, OSError) as error:
        reason = type(error).__name__
    # Outside of the handler: the client's exceptions may name its address and password.
    raise TransientError(f"the request budget's Redis cannot be used: {reason}")


def _to_seconds(wait_ms: object) -> float:
    return max(wait_ms if isinstance(wait_ms, int) else 1, 1) / 1000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
