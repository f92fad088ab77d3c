"""How widely prices are spread: bands, ranges and deviations."""

from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import (
    STATELESS_LOOKBACK,
    Arrays,
    Column,
    Indicator,
    Recursion,
)
from stock_platform.indicators.library import talib_functions as talib
from stock_platform.indicators.library.trend import true_range


def bollinger(period: int = 20, width: float = 2.0) -> Indicator:
    """Put a band of `width` deviations around the moving average."""
    name = f"bollinger_{period}_{width:g}"

    def compute(bars: BarArrays) -> Arrays:
        return talib.BBANDS(bars.close, period, width, width, talib.MEAN)

    return Indicator(
        name=name,
        title="Bollinger bands",
        columns=(
            Column(f"{name}_upper", "price", f"middle plus {width:g} standard deviations"),
            Column(f"{name}_middle", "price", f"mean of the last {period} closes"),
            Column(f"{name}_lower", "price", f"middle less {width:g} standard deviations"),
        ),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
    )


def rolling_std(period: int = 20) -> Indicator:
    """Return the population standard deviation of the last `period` closes."""
    name = f"rolling_std_{period}"

    def compute(bars: BarArrays) -> Arrays:
        return (talib.STDDEV(bars.close, period),)

    return Indicator(
        name=name,
        title="Rolling standard deviation",
        columns=(Column(name, "price", f"population standard deviation of {period} closes"),),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
    )


def atr(period: int = 14) -> Indicator:
    """Average the true range (Wilder)."""
    column = Column(f"atr_{period}", "price", "Wilder's average of the true range")

    def compute(bars: BarArrays) -> Arrays:
        return (talib.ATR(bars.high, bars.low, bars.close, period),)

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        after = ((state[0] * (period - 1) + true_range(previous, bar)) / period,)
        return after, after

    return Indicator(
        name=column.name,
        title="Average true range",
        columns=(column,),
        compute=compute,
        warmup=period,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(state=(column,), read=compute, step=step, weight=1.0 / period),
    )


def volatility() -> Indicator:
    """Return each bar's spread from high to low as a share of its close."""

    def compute(bars: BarArrays) -> Arrays:
        spread = bars.high - bars.low
        spread /= bars.close
        spread *= 100.0
        return (spread,)

    return Indicator(
        name="volatility",
        title="Volatility of the bar",
        columns=(Column("volatility", "percent", "(high - low) / close * 100"),),
        compute=compute,
        warmup=0,
        lookback=0,
    )
