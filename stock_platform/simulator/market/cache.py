"""Keep the sessions asked for last, bounded by their rows, and make each of them once."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sized
from datetime import date
from typing import Generic, TypeVar

import polars as pl

Value = TypeVar("Value", bound=Sized)


class SessionCache(Generic[Value]):
    """A function of a session that remembers its newest results, `rows_max` rows in all.

    Several threads may call it; a session is made by one of them while those who
    want the same one wait. The session made last is kept whatever its size.
    """

    def __init__(self, make: Callable[[date], Value], *, rows_max: int) -> None:
        self._make = make
        self._rows_max = rows_max
        self._kept: OrderedDict[date, Value] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()
        self._making: defaultdict[date, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, session: date) -> Value:
        with self._lock:
            making = self._making[session]
        with making:
            with self._lock:
                if session in self._kept:
                    self._kept.move_to_end(session)
                    return self._kept[session]
            value = self._make(session)
            with self._lock:
                self._keep(session, value)
            return value

    def _keep(self, session: date, value: Value) -> None:
        self._kept[session] = value
        self._rows += len(value)
        while self._rows > self._rows_max and len(self._kept) > 1:
            self._rows -= len(self._kept.popitem(last=False)[1])


def slices(bars: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Return (offset, length) of each symbol in bars that are sorted by symbol."""
    runs = bars["symbol"].rle().struct.unnest()
    starts = runs["len"].cum_sum() - runs["len"]
    return dict(zip(runs["value"].to_list(), zip(starts, runs["len"], strict=True), strict=True))
