"""The request budget of one provider account, shared between processes.

A provider counts the requests of an account, not of a process: every Dagster
run, the sidecar and a person at the command line draw on the same budget. It
lives in a SQLite file (one machine) or in Redis (several). The same store
keeps a pause - a provider answered "not before" - so that a new process does not
send again what was refused to the last one a minute ago.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from pyrate_limiter import Rate

from stock_platform.errors import TransientError

MARGIN = 1.02
"""Windows are stretched by this: a request is counted before it arrives at the provider."""
LEAK_EVERY = 64
"""Old requests leave a bucket after so many new ones."""
_NOTABLE_WAIT_S = 1.0
_log = structlog.get_logger(__name__)


class RateLimiter(Protocol):
    """Permission to send a request to a provider."""

    def acquire(self) -> None:
        """Count one request, waiting within bounds; else raise `TransientError` with the delay."""
        ...

    def pause(self, delay_s: float) -> None:
        """Let no request through for `delay_s`; never shortens a pause."""
        ...


class RateLimitStore(Protocol):
    """Where budgets are counted for all processes."""

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Count one request of `name` and return 0, or return the seconds until one may be free."""
        ...

    def pause(self, name: str, delay_s: float) -> None:
        """Let no request of `name` through for `delay_s`; never shortens a pause."""
        ...

    def close(self) -> None:
        """Close the file or the connection."""
        ...


def to_rates(*, per_minute: int = 0, per_second: int = 0) -> list[Rate]:
    """Return the rates that bind, the shorter window first; 0 means no limit."""
    minute = Rate(per_minute, int(60_000 * MARGIN)) if per_minute else None
    second = Rate(per_second, int(1_000 * MARGIN)) if per_second else None
    if minute is None or second is None:
        return [rate for rate in (second, minute) if rate]
    # pyrate-limiter refuses a list in which one rate makes another one pointless.
    if per_minute <= per_second:
        return [minute]
    return [second] if per_minute > per_second * 60 else [second, minute]


class SharedRateLimiter:
    """The budget of one provider account, counted in a `RateLimitStore`. Safe between threads."""

    def __init__(
        self,
        name: str,
        rates: Sequence[Rate],
        store: RateLimitStore,
        *,
        wait_max_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._rates = list(rates)
        self._store = store
        self._wait_max_s = wait_max_s
        self._sleep = sleep

    def acquire(self) -> None:
        """Count one request, waiting at most `wait_max_s`."""
        waited_s = 0.0
        while (wait_s := self._store.acquire(self.name, self._rates)) > 0:
            if waited_s + wait_s > self._wait_max_s:
                raise TransientError(
                    f"{self.name}: no request is free for {wait_s:.0f} s", delay_s=wait_s
                )
            if wait_s > _NOTABLE_WAIT_S:
                _log.info("rate_limit_waited", provider=self.name, wait_s=round(wait_s, 1))
            self._sleep(wait_s)
            waited_s += wait_s

    def pause(self, delay_s: float) -> None:
        _log.warning("rate_limit_paused", provider=self.name, delay_s=round(delay_s, 1))
        self._store.pause(self.name, delay_s)


def to_seconds(wait_ms: object) -> float:
    """Return a bucket's wait in seconds, at least a millisecond."""
    return max(wait_ms if isinstance(wait_ms, int) else 1, 1) / 1000
