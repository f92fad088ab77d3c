"""Request budgets shared between processes.

A provider counts the requests of an account, not of a process: every Dagster
run, the sidecar and a person at the command line draw on the same budget. It
lives in a SQLite file (one machine) or in Redis (several). The same store
remembers a hold - a provider said "not before" - so that a new process does not
ask again what the last one was refused a minute ago.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from pyrate_limiter import Rate

from stock_platform.errors import TransientError

MARGIN = 1.02
"""Windows are stretched by this: a request is counted before it arrives at the provider."""
_NOTABLE_WAIT_S = 1.0
_log = structlog.get_logger(__name__)


class RateLimiter(Protocol):
    """Permission to ask a provider."""

    def acquire(self) -> None:
        """Take one request, waiting for it within bounds; else raise `Transient` with the delay."""
        ...

    def pause(self, delay_s: float) -> None:
        """Let nobody ask for `delay_s`; never shortens a hold."""
        ...


class RateLimitStore(Protocol):
    """Where budgets are counted for all processes."""

    def acquire(self, name: str, rates: Sequence[Rate]) -> float:
        """Take one request of `name` and give 0, or give the seconds until one may be free."""
        ...

    def pause(self, name: str, delay_s: float) -> None:
        """Let `take` of `name` give nothing for `delay_s`; never shortens a hold."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
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
    """The budget of one provider account, counted in a `Store`. Safe between threads."""

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
        """Take one request, waiting at most `wait_max_s`."""
        waited_s = 0.0
        while (wait_s := self._store.acquire(self.name, self._rates)) > 0:
            if waited_s + wait_s > self._wait_max_s:
                raise TransientError(
                    f"{self.name}: no request is free for {wait_s:.0f} s", delay_s=wait_s
                )
            if wait_s > _NOTABLE_WAIT_S:
                _log.info("budget_waited", provider=self.name, wait_s=round(wait_s, 1))
            self._sleep(wait_s)
            waited_s += wait_s

    def pause(self, delay_s: float) -> None:
        _log.warning("budget_held", provider=self.name, delay_s=round(delay_s, 1))
        self._store.pause(self.name, delay_s)
