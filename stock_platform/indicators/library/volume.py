"""What volume adds to the price."""

import numpy as np

from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import (
    DAILY,
    MINUTE,
    STATELESS_LOOKBACK,
    Arrays,
    Column,
    Indicator,
    Recursion,
)
from stock_platform.indicators.library import talib_functions as talib


def obv() -> Indicator:
    """Add the volume of rising bars and take away that of falling ones, from the first bar on.

    Only differences mean something: the level depends on where the history begins.
    """
    column = Column("obv", "volume", "running total of signed volume since the first bar")

    def compute(bars: BarArrays) -> Arrays:
        return (talib.OBV(bars.close, bars.volume),)

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        after = (state[0] + np.sign(bar.close - previous.close) * bar.volume,)
        return after, after

    return Indicator(
        name=column.name,
        title="On-balance volume",
        columns=(column,),
        compute=compute,
        warmup=0,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(state=(column,), read=compute, step=step, weight=None),
    )


def session_vwap() -> Indicator:
    """Return the volume-weighted typical price since the session's first bar."""

    def compute(bars: BarArrays) -> Arrays:
        first = np.flatnonzero(np.diff(bars.session, prepend=-1))
        money = _since(first, talib.TYPPRICE(bars.high, bars.low, bars.close) * bars.volume)
        volume = _since(first, bars.volume)
        return (_ratio(money, volume),)

    return Indicator(
        name="session_vwap",
        title="Volume-weighted average price of the session",
        columns=(Column("session_vwap", "price", "sum(typical price * volume) / sum(volume)"),),
        compute=compute,
        warmup=0,
        lookback=0,
        timeframes=MINUTE,
    )


def vwap(period: int = 20) -> Indicator:
    """Return the volume-weighted typical price of the last `period` sessions."""
    name = f"vwap_{period}"

    def compute(bars: BarArrays) -> Arrays:
        money = talib.TYPPRICE(bars.high, bars.low, bars.close)
        money *= bars.volume
        money = talib.SMA(money, period)
        return (_ratio(money, _usual(bars.volume, period)),)

    return Indicator(
        name=name,
        title="Rolling volume-weighted average price",
        columns=(
            Column(
                name, "price", f"sum(typical price * volume) / sum(volume) of {period} sessions"
            ),
        ),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
        timeframes=DAILY,
    )


def relative_volume(period: int = 20) -> Indicator:
    """Compare a bar's volume with the mean of the `period` bars before it."""
    name = f"relative_volume_{period}"

    def compute(bars: BarArrays) -> Arrays:
        usual = np.full(len(bars), np.nan)
        usual[1:] = _usual(bars.volume, period)[:-1]
        return (_ratio(bars.volume, usual),)

    return Indicator(
        name=name,
        title="Relative volume",
        columns=(Column(name, "ratio", f"volume / mean volume of the {period} bars before"),),
        compute=compute,
        warmup=period,
        lookback=period,
    )


def _since(first: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Sum up from the last of the rows `first`, each session from its own zero.

    One running total with the opening level taken away would lose a quiet session's
    digits behind a busy one's.
    """
    parts = np.split(amounts, first[1:])
    return np.concatenate([np.cumsum(part) for part in parts])


def _usual(volume: np.ndarray, period: int) -> np.ndarray:
    """Return the mean volume; exactly zero where nothing traded.

    A running mean leaves a residue of rounding behind, and dividing by it would
    make a price out of nothing.
    """
    mean = talib.SMA(volume, period)
    if volume.min() > 0.0:
        return mean
    return np.where(talib.MAX(volume, period) > 0, mean, 0.0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    # Choosing rows costs several times the division itself, and hardly ever is there a choice.
    if np.fmin.reduce(whole) > 0.0:
        return part / whole
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
