"""What an indicator is: a name, a function over one symbol's bars, and its columns.

A windowed indicator is a function of the last `lookback` bars. A recursive one
(EMA, RSI, ATR ...) depends on every bar since the first; it may say how to carry
its state from one bar to the next, and then a new session costs one step instead
of the whole history.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stock_platform.indicators.engine.arrays import BarArrays

Unit = Literal["price", "volume", "percent", "points", "ratio"]
"""What a split does to a value: prices and volumes are rescaled, the others do not change."""

Timeframe = Literal["daily", "minute"]
BOTH: frozenset[Timeframe] = frozenset({"daily", "minute"})
DAILY: frozenset[Timeframe] = frozenset({"daily"})
MINUTE: frozenset[Timeframe] = frozenset({"minute"})

Arrays = tuple[np.ndarray, ...]

STATELESS_LOOKBACK = 500
"""Bars read when a recursive indicator starts without a state: the slowest filter here,
Wilder's over 14 bars, has then forgotten all but (13/14)**473 = 6e-16 of its start."""


@dataclass(frozen=True, slots=True)
class Column:
    """One output column, or one number of the state."""

    name: str
    unit: Unit
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recursion:
    """How an indicator continues from where it stopped.

    `read` gives the state after every bar of one symbol. `step` takes the states,
    the previous and the next bar of many symbols at once and gives the values at
    the next bar and the states after it. `weight` is the share a new bar has in
    the slowest filter; None for a running total, which never forgets.
    """

    state: tuple[Column, ...]
    read: Callable[[BarArrays], Arrays]
    step: Callable[[Arrays, BarArrays, BarArrays], tuple[Arrays, Arrays]]
    weight: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """A named function from one symbol's bars to equally long arrays, one per column.

    Before `warmup` bars have passed a value is NaN (null in frames): too little history;
    with several columns `warmup` is that of the slowest. `lookback` is how many bars
    before a bar its value needs; for recursive indicators how many a start without a
    state reads.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    compute: Callable[[BarArrays], Arrays]
    warmup: int
    lookback: int
    timeframes: frozenset[Timeframe] = BOTH
    recursion: Recursion | None = None

    @property
    def state(self) -> tuple[Column, ...]:
        return self.recursion.state if self.recursion else ()
