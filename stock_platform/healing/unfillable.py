"""Which gaps nobody will fill by asking again: what becomes an alarm instead of a loop."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from stock_platform.domain.coverage import Ledger
from stock_platform.healing.retry import Backoff

PATIENCE = timedelta(days=1)
"""After the close and every wait of the backoff: what is missing then is given up."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The symbols of a session that lack minutes for good, and how many minutes."""

    symbols: tuple[str, ...]
    minutes: int


def refused(ledger: Ledger) -> Hopeless:
    """Give the missing minutes that a provider will not give."""
    return _of(ledger, ledger.missing() & ledger.bits["refused"])


def exhausted(ledger: Ledger, now: datetime, backoff: Backoff) -> Hopeless:
    """Give the missing minutes whose every try is used up; refused ones are told apart.

    That is where a symbol's failures exceed the waits, and, whatever was tried, a
    session that closed longer ago than all waits together.
    """
    missing = ledger.missing() & ~ledger.bits["refused"]
    waits = sum(backoff.waits, start=PATIENCE)
    if now < ledger.grid.closes_at + waits:
        spent = np.array([backoff.exhausted(int(failures)) for failures in ledger.attempts], bool)
        missing &= spent[:, None]
    return _of(ledger, missing)


def _of(ledger: Ledger, mask: np.ndarray) -> Hopeless:
    symbols = ledger.symbols[mask.any(axis=1)]
    return Hopeless(tuple(str(symbol) for symbol in symbols), int(mask.sum()))
