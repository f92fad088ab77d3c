"""Moving averages and what is built from them: where a price is heading."""

import numpy as np

from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import (
    STATELESS_LOOKBACK,
    Arrays,
    Column,
    Indicator,
    Recursion,
)
from stock_platform.indicators.library import talib_functions as talib


def sma(period: int = 20) -> Indicator:
    """Average the last `period` closes."""
    column = Column(f"sma_{period}", "price", f"mean of the last {period} closes")

    def compute(bars: BarArrays) -> Arrays:
        return (talib.SMA(bars.close, period),)

    return Indicator(
        name=column.name,
        title="Simple moving average",
        columns=(column,),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
    )


def wma(period: int = 20) -> Indicator:
    """Average the last `period` closes, the newest weighing `period` times the oldest."""
    column = Column(f"wma_{period}", "price", f"linearly weighted mean of the last {period} closes")

    def compute(bars: BarArrays) -> Arrays:
        return (talib.WMA(bars.close, period),)

    return Indicator(
        name=column.name,
        title="Weighted moving average",
        columns=(column,),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
    )


def ema(period: int = 20) -> Indicator:
    """Average all closes, each weighing less the older it is; starts at the SMA."""
    column = Column(f"ema_{period}", "price", f"exponential mean of closes, span {period}")
    weight = 2.0 / (period + 1)

    def compute(bars: BarArrays) -> Arrays:
        return (talib.EMA(bars.close, period),)

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        after = (state[0] + (bar.close - state[0]) * weight,)
        return after, after

    return Indicator(
        name=column.name,
        title="Exponential moving average",
        columns=(column,),
        compute=compute,
        warmup=period - 1,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(state=(column,), read=compute, step=step, weight=weight),
    )


def macd(fast: int = 12, slow: int = 26, signal: int = 9) -> Indicator:
    """Take the slow EMA from the fast one, and smooth the difference."""
    name = f"macd_{fast}_{slow}_{signal}"
    weights = [2.0 / (period + 1) for period in (fast, slow, signal)]

    def compute(bars: BarArrays) -> Arrays:
        return talib.MACD(bars.close, fast, slow, signal)

    def read(bars: BarArrays) -> Arrays:
        # TA-Lib starts the fast average late, so that both begin on the same bar.
        late = np.full(min(slow - fast, len(bars)), np.nan)
        rest = bars.close[slow - fast :]
        quick = np.append(late, talib.EMA(rest, fast)) if len(rest) else late
        slowly = talib.EMA(bars.close, slow)
        difference = quick - slowly
        return quick, slowly, talib.EMA(difference, signal)

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        quick = state[0] + (bar.close - state[0]) * weights[0]
        slowly = state[1] + (bar.close - state[1]) * weights[1]
        line = quick - slowly
        smooth = state[2] + (line - state[2]) * weights[2]
        return (line, smooth, line - smooth), (quick, slowly, smooth)

    return Indicator(
        name=name,
        title="Moving average convergence/divergence",
        columns=(
            Column(name, "price", f"EMA of {fast} less EMA of {slow}"),
            Column(f"{name}_signal", "price", f"EMA of the difference, span {signal}"),
            Column(f"{name}_histogram", "price", "difference less signal"),
        ),
        compute=compute,
        warmup=slow + signal - 2,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(
            state=(
                Column(f"{name}_fast", "price", f"EMA of {fast}"),
                Column(f"{name}_slow", "price", f"EMA of {slow}"),
                Column(f"{name}_smooth", "price", "the signal line"),
            ),
            read=read,
            step=step,
            weight=min(weights),
        ),
    )


def true_range(previous: BarArrays, bar: BarArrays) -> np.ndarray:
    """Return the range of each bar, the previous close included."""
    return np.maximum(bar.high, previous.close) - np.minimum(bar.low, previous.close)


def adx(period: int = 14) -> Indicator:
    """Measure how strongly, and in which direction, the price moves (Wilder)."""

    def compute(bars: BarArrays) -> Arrays:
        prices = (bars.high, bars.low, bars.close, period)
        return talib.ADX(*prices), talib.PLUS_DI(*prices), talib.MINUS_DI(*prices)

    def read(bars: BarArrays) -> Arrays:
        ranges = talib.TRANGE(bars.high, bars.low, bars.close)
        ranges[0] = 0.0
        # Wilder's sum of true ranges is not among TA-Lib's outputs, but the sum of upward
        # moves is, and a line that rises by the true range at each bar moves up by just that.
        zeros = np.zeros(len(bars))
        return (
            talib.PLUS_DM(bars.high, bars.low, period),
            talib.MINUS_DM(bars.high, bars.low, period),
            talib.PLUS_DM(np.cumsum(ranges), zeros, period),
            talib.ADX(bars.high, bars.low, bars.close, period),
        )

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        rise, fall = bar.high - previous.high, previous.low - bar.low
        up = np.where((rise > 0) & (rise > fall), rise, 0.0)
        down = np.where((fall > 0) & (fall > rise), fall, 0.0)
        plus = state[0] - state[0] / period + up
        minus = state[1] - state[1] / period + down
        ranges = state[2] - state[2] / period + true_range(previous, bar)
        moved, both = ranges > _NOTHING, plus + minus
        plus_di = _percent(plus, ranges, moved)
        minus_di = _percent(minus, ranges, moved)
        directed = moved & (plus_di + minus_di > _NOTHING)
        dx = _percent(np.abs(plus - minus), both, directed)
        strength = np.where(directed, (state[3] * (period - 1) + dx) / period, state[3])
        return (strength, plus_di, minus_di), (plus, minus, ranges, strength)

    return Indicator(
        name=f"adx_{period}",
        title="Average directional index",
        columns=(
            Column(f"adx_{period}", "points", "strength of the trend, 0 to 100"),
            Column(f"plus_di_{period}", "points", "share of upward movement, 0 to 100"),
            Column(f"minus_di_{period}", "points", "share of downward movement, 0 to 100"),
        ),
        compute=compute,
        warmup=2 * period - 1,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(
            state=(
                Column(f"adx_{period}_plus_dm", "price", "Wilder's sum of upward moves"),
                Column(f"adx_{period}_minus_dm", "price", "Wilder's sum of downward moves"),
                Column(f"adx_{period}_range", "price", "Wilder's sum of true ranges"),
                Column(f"adx_{period}_strength", "points", "the index itself"),
            ),
            read=read,
            step=step,
            weight=1.0 / period,
        ),
    )


_NOTHING = 1e-14
"""What TA-Lib takes for zero."""


def _percent(part: np.ndarray, whole: np.ndarray, defined: np.ndarray) -> np.ndarray:
    share = np.divide(part, whole, out=np.zeros_like(whole), where=defined)
    return np.where(np.isnan(whole), np.nan, 100.0 * share)
