"""Which gaps another request will not fill: they become an alert instead of a loop."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.healing.retry import RetrySchedule

GIVE_UP_AFTER = timedelta(days=1)
"""After the close and every wait of the schedule: what is missing then stays missing."""


@dataclass(frozen=True, slots=True)
class UnfillableMinutes:
    """The symbols of a session that lack minutes for good, and how many minutes."""

    symbols: tuple[str, ...]
    minutes: int


def refused(coverage: SessionCoverage) -> UnfillableMinutes:
    """Return the missing minutes that a provider will not give."""
    return _of(coverage, coverage.missing() & coverage.bits["refused"])


def exhausted(
    coverage: SessionCoverage, now: datetime, backoff: RetrySchedule
) -> UnfillableMinutes:
    """Return the missing minutes without a retry left, apart from refused ones.

    That is where a symbol's failures exceed the waits, and, whatever was tried, a
    session that closed longer ago than all waits together.
    """
    missing = coverage.missing() & ~coverage.bits["refused"]
    waits = sum(backoff.waits, start=GIVE_UP_AFTER)
    if now < coverage.grid.closes_at + waits:
        spent = np.array([backoff.exhausted(int(failures)) for failures in coverage.attempts], bool)
        missing &= spent[:, None]
    return _of(coverage, missing)


def _of(coverage: SessionCoverage, mask: np.ndarray) -> UnfillableMinutes:
    symbols = coverage.symbols[mask.any(axis=1)]
    return UnfillableMinutes(tuple(str(symbol) for symbol in symbols), int(mask.sum()))
