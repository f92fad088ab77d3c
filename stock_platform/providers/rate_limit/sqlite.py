"""Request budgets in a SQLite file, for the processes of one machine.

pyrate-limiter's buckets are used without its `Limiter`: that one stamps a
request that had to wait with the planned instant, not the actual one, and two
requests would then be closer together than recorded.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
from pyrate_limiter import Rate, RateItem, SQLiteBucket, SQLiteQueries

from stock_platform.errors import TransientError
from stock_platform.providers.rate_limit.limiter import LEAK_EVERY, to_seconds

_LOCK_TIMEOUT_S = 30.0


class SqliteStore:
    """Request budgets in a SQLite file, under a file lock: for the processes of one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S)
        # One process's threads share a connection; the file lock keeps other processes out.
        self._threads = threading.Lock()
        self._buckets: dict[str, SQLiteBucket] = {}
        self._acquired = 0
        with self._alone():
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=_LOCK_TIMEOUT_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS holds (name TEXT PRIMARY KEY, until_ms INTEGER)"
            )
            self._db.commit()

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Count one request of `name` and return 0, or return the seconds until one may be free."""
        with self._alone():
            return self._acquire(name, rates)

    def pause(self, name: str, delay_s: float) -> None:
        """Let no request of `name` through for `delay_s`; never shortens a pause."""
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

    def _acquire(self, name: str, rates: Sequence[Rate]) -> float:
        now = _wall_ms()
        held = self._db.execute("SELECT until_ms FROM holds WHERE name = ?", (name,)).fetchone()
        if held and held[0] > now:
            return (held[0] - now) / 1000
        if not rates:
            return 0.0
        bucket = self._bucket(name, rates)
        item = RateItem(name, now)
        if not bucket.put(item):
            return to_seconds(bucket.waiting(item))
        self._acquired += 1
        if self._acquired % LEAK_EVERY == 0:
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


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
