"""Oscillators: how far and how fast a price has moved, on a fixed scale."""

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


def rsi(period: int = 14) -> Indicator:
    """Compare average gains with average losses (Wilder)."""
    name = f"rsi_{period}"

    def compute(bars: BarArrays) -> Arrays:
        return (talib.RSI(bars.close, period),)

    def read(bars: BarArrays) -> Arrays:
        change = np.diff(bars.close, prepend=bars.close[:1])
        zeros = np.zeros(len(bars))
        # The average true range of bars from 0 up to the gain is the average gain.
        return (
            talib.ATR(np.maximum(change, 0.0), zeros, zeros, period),
            talib.ATR(np.maximum(-change, 0.0), zeros, zeros, period),
        )

    def step(state: Arrays, previous: BarArrays, bar: BarArrays) -> tuple[Arrays, Arrays]:
        change = bar.close - previous.close
        gain = (state[0] * (period - 1) + np.maximum(change, 0.0)) / period
        loss = (state[1] * (period - 1) + np.maximum(-change, 0.0)) / period
        moved = gain + loss
        # TA-Lib's answer for a price that never moved.
        still = np.where(np.isnan(moved), np.nan, 0.0)
        value = np.divide(100.0 * gain, moved, out=still, where=moved > 1e-14)
        return (value,), (gain, loss)

    return Indicator(
        name=name,
        title="Relative strength index",
        columns=(Column(name, "points", "100 * average gain / (average gain + average loss)"),),
        compute=compute,
        warmup=period,
        lookback=STATELESS_LOOKBACK,
        recursion=Recursion(
            state=(
                Column(f"{name}_gain", "price", "Wilder's average gain"),
                Column(f"{name}_loss", "price", "Wilder's average loss"),
            ),
            read=read,
            step=step,
            weight=1.0 / period,
        ),
    )


def stochastic(period: int = 14, smooth: int = 3, signal: int = 3) -> Indicator:
    """Place the close within the recent range (slow stochastic)."""
    name = f"stochastic_{period}_{smooth}_{signal}"
    reach = period + smooth + signal - 3

    def compute(bars: BarArrays) -> Arrays:
        return talib.STOCH(
            bars.high,
            bars.low,
            bars.close,
            fastk_period=period,
            slowk_period=smooth,
            slowk_matype=talib.MEAN,
            slowd_period=signal,
            slowd_matype=talib.MEAN,
        )

    return Indicator(
        name=name,
        title="Stochastic oscillator",
        columns=(
            Column(
                f"{name}_k",
                "points",
                f"place of the close in the range of {period} bars, mean of {smooth}",
            ),
            Column(f"{name}_d", "points", f"mean of the last {signal} k"),
        ),
        compute=compute,
        warmup=reach,
        lookback=reach,
    )


def cci(period: int = 20) -> Indicator:
    """Measure how far the typical price is from its mean, in mean deviations (Lambert)."""
    name = f"cci_{period}"

    def compute(bars: BarArrays) -> Arrays:
        return (talib.CCI(bars.high, bars.low, bars.close, period),)

    return Indicator(
        name=name,
        title="Commodity channel index",
        columns=(Column(name, "points", "(typical price - its mean) / (0.015 * mean deviation)"),),
        compute=compute,
        warmup=period - 1,
        lookback=period - 1,
    )


def mfi(period: int = 14) -> Indicator:
    """Compare the money of rising bars with that of falling ones."""
    name = f"mfi_{period}"

    def compute(bars: BarArrays) -> Arrays:
        return (talib.MFI(bars.high, bars.low, bars.close, bars.volume, period),)

    return Indicator(
        name=name,
        title="Money flow index",
        columns=(Column(name, "points", "share of money on rising typical prices, 0 to 100"),),
        compute=compute,
        warmup=period,
        lookback=period,
    )
