"""Plain comparisons of one bar with those before it: the columns of the daily update."""

import numpy as np

from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import DAILY, MINUTE, Arrays, Column, Indicator
from stock_platform.indicators.library import talib_functions as talib


def rolling_average(period: int = 5) -> Indicator:
    """Average the last `period` closes under the name the daily table uses."""

    def compute(bars: BarArrays) -> Arrays:
        return (talib.SMA(bars.close, period),)

    return Indicator(
        name="rolling_avg",
        title=f"{period}-day average",
        columns=(Column("rolling_avg", "price", f"mean of the last {period} closes"),),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
        timeframes=DAILY,
    )


def daily_change() -> Indicator:
    """Return the change from the previous session's close in percent."""
    return _change("daily_pct_change", "Daily change", DAILY)


def bar_change() -> Indicator:
    """Return the change from the previous bar's close in percent."""
    return _change("pct_change", "Change", MINUTE)


def gap() -> Indicator:
    """Return the open against the previous session's close in percent."""

    def compute(bars: BarArrays) -> Arrays:
        return (_percent(bars.open, bars.close),)

    return Indicator(
        name="gap_pct",
        title="Opening gap",
        columns=(Column("gap_pct", "percent", "(open / previous close - 1) * 100"),),
        compute=compute,
        warmup=1,
        lookback=1,
        timeframes=DAILY,
    )


def _change(name: str, title: str, timeframes: frozenset) -> Indicator:
    def compute(bars: BarArrays) -> Arrays:
        return (_percent(bars.close, bars.close),)

    return Indicator(
        name=name,
        title=title,
        columns=(Column(name, "percent", "(close / previous close - 1) * 100"),),
        compute=compute,
        warmup=1,
        lookback=1,
        timeframes=timeframes,
    )


def _percent(now: np.ndarray, close: np.ndarray) -> np.ndarray:
    changed = np.empty(len(now))
    changed[0] = np.nan
    later = changed[1:]
    np.divide(now[1:], close[:-1], out=later)
    later -= 1.0
    later *= 100.0
    return changed
