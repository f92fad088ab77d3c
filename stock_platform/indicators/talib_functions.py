"""TA-Lib's functions without the wrapper that looks for Polars and pandas in every call.

On a slice of some dozen bars the wrapper costs as much as the function behind it,
and a daily update is nothing but short slices.
"""

from collections.abc import Callable
from typing import Any

import talib


def _plain(name: str) -> Callable[..., Any]:
    function = getattr(talib, name)
    return getattr(function, "__wrapped__", function)


SMA, EMA, WMA, MACD = _plain("SMA"), _plain("EMA"), _plain("WMA"), _plain("MACD")
ADX, PLUS_DI, MINUS_DI = _plain("ADX"), _plain("PLUS_DI"), _plain("MINUS_DI")
PLUS_DM, MINUS_DM = _plain("PLUS_DM"), _plain("MINUS_DM")
RSI, STOCH, CCI, MFI = _plain("RSI"), _plain("STOCH"), _plain("CCI"), _plain("MFI")
BBANDS, STDDEV, ATR, TRANGE = _plain("BBANDS"), _plain("STDDEV"), _plain("ATR"), _plain("TRANGE")
OBV, MAX, TYPPRICE = _plain("OBV"), _plain("MAX"), _plain("TYPPRICE")
MEAN = talib.MA_Type.SMA
