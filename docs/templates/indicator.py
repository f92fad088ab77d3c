"""An indicator of your own: copy this file into your package and change the function.

Run its contract with `pytest indicator.py`.
"""

import numpy as np

from stock_platform.indicators.declare import indicator
from stock_platform.testing.indicators import IndicatorContract


@indicator("efficiency_ratio_10", columns={"efficiency_ratio_10": "ratio"}, warmup=10)
def efficiency_ratio(close: np.ndarray) -> np.ndarray:
    """Net move of ten bars as a share of the path walked (Kaufman).

    `close` are one symbol's closes, oldest first, in one scale of shares. The result is as
    long; the first ten values are made null by `warmup`, so any number may stand there.
    """
    if len(close) <= 10:
        return np.full(len(close), np.nan)
    steps = np.abs(np.diff(close))
    path = np.convolve(steps, np.ones(10), mode="valid")
    moved = np.abs(close[10:] - close[:-10])
    ratio = np.divide(moved, path, out=np.full(len(moved), np.nan), where=path > 1e-12)
    return np.append(np.full(10, np.nan), ratio)


class TestEfficiencyRatio(IndicatorContract):
    """Each promise of an indicator, checked against the one above."""

    indicator = efficiency_ratio
