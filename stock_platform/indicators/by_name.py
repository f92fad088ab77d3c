"""Compute indicators by name over any frame of bars: `sp.compute_indicators(bars, ["ema_20"])`."""

import difflib
import re
from collections.abc import Callable, Sequence

import polars as pl

from stock_platform.errors import InvalidDataError
from stock_platform.indicators.engine.arrays import NUMBERS, time_column
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.indicator import Indicator, Timeframe
from stock_platform.indicators.library import momentum, trend, volatility, volume
from stock_platform.indicators.registry import builtin, installed

_FACTORIES: dict[str, Callable[..., Indicator]] = {
    "sma": trend.sma,
    "ema": trend.ema,
    "wma": trend.wma,
    "macd": trend.macd,
    "adx": trend.adx,
    "plus_di": trend.adx,
    "minus_di": trend.adx,
    "rsi": momentum.rsi,
    "stochastic": momentum.stochastic,
    "cci": momentum.cci,
    "mfi": momentum.mfi,
    "bollinger": volatility.bollinger,
    "atr": volatility.atr,
    "rolling_std": volatility.rolling_std,
    "vwap": volume.vwap,
    "relative_volume": volume.relative_volume,
}
_NAME = re.compile(r"([a-z_]+?)_(\d[\d.]*(?:_\d[\d.]*)*)(?:_[a-z_]+)?")
_PERIOD_MAX = 100_000
"""The longest period TA-Lib takes."""


def compute_indicators(bars: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the named indicators of `bars`: one row per bar, by symbol and time.

    `bars` have symbol, session (daily) or minute, open, high, low, close and volume, in one
    scale of shares (adjusted ones, unless there was no split). A name is an indicator or an
    output column: built in ("rsi_14", "macd_12_26_9_signal"), installed, declared with
    `@indicator`, or a built-in kind with another period ("ema_200", "bollinger_50_2.5").
    Columns: the key, then those named. Null while there is too little history.

    Raises `InvalidDataError` for a name there is none of (listing the nearest), for bars
    without a needed column, repeated bars, and prices that are null or not finite.

        values = sp.compute_indicators(bars, ["ema_20", "rsi_14"])
        bars.join(values, on=["symbol", "session"])
    """
    wanted = [names] if isinstance(names, str) else list(names)
    time = _time_of(bars)
    timeframe: Timeframe = "minute" if time == "minute" else "daily"
    chosen, columns = dict[str, Indicator](), list[str]()
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidDataError(f"the name of an indicator is text, found {name!r}")
        indicator = indicator_by_name(name, timeframe)
        chosen[indicator.name] = indicator
        labels = [column.name for column in indicator.columns]
        columns += labels if name == indicator.name else [name]
    values = compute(bars, list(chosen.values()), keep_states=False).values
    return values.select("symbol", time, *dict.fromkeys(columns))


def indicator_by_name(name: str, timeframe: Timeframe) -> Indicator:
    """Return the indicator called `name` or writing the column `name`.

    Raises `InvalidDataError` with the nearest names when there is none for the timeframe.
    """
    # Ours first: a package that cannot be loaded fails only who needs its indicators.
    for indicator in builtin():
        if timeframe in indicator.timeframes and name in _labels(indicator):
            return indicator
    fitting = [indicator for indicator in installed() if timeframe in indicator.timeframes]
    for indicator in fitting:
        if name in _labels(indicator):
            return indicator
    made = _with_period(name)
    if made is not None and timeframe in made.timeframes and name in _labels(made):
        return made
    known = sorted({label for indicator in fitting for label in _labels(indicator)})
    raise InvalidDataError(
        f"no {timeframe} indicator {name!r}; the nearest are {', '.join(_nearest(name, known))}"
    )


def _with_period(name: str) -> Indicator | None:
    """Make a built-in kind with the periods in its name; None when it has no such form."""
    match = _NAME.fullmatch(name)
    factory = _FACTORIES.get(match[1]) if match else None
    if match is None or factory is None:
        return None
    try:
        numbers = [float(text) if "." in text else int(text) for text in match[2].split("_")]
        made = factory(*numbers)
    except (TypeError, ValueError):
        return None
    whole = [number for number in numbers if isinstance(number, int)]
    if name in _labels(made) and not (
        min(whole, default=0) >= 1 and 2 <= numbers[0] <= _PERIOD_MAX
    ):
        raise InvalidDataError(f"indicator {name!r}: a period is 2 to {_PERIOD_MAX} bars")
    if match[1] == "macd" and numbers[0] >= numbers[1]:
        raise InvalidDataError(f"indicator {name!r}: the fast period comes first")
    return made


def _labels(indicator: Indicator) -> set[str]:
    return {indicator.name, *(column.name for column in indicator.columns)}


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    kind = name.split("_", maxsplit=1)[0]
    same = [label for label in known if kind and label.startswith(kind)]
    alike = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return list(dict.fromkeys([*same, *alike]))[:4] or list(known)


def _time_of(bars: pl.DataFrame) -> str:
    if not isinstance(bars, pl.DataFrame):
        raise InvalidDataError(f"bars are a polars DataFrame, found {type(bars).__name__}")
    time = time_column(bars)
    missing = [name for name in ("symbol", time, *NUMBERS) if name not in bars.columns]
    if missing:
        raise InvalidDataError(f"bars have no column {', '.join(missing)}")
    dtype = bars.schema[time]
    if time == "minute" and not (isinstance(dtype, pl.Datetime) and dtype.time_zone):
        # Taken for UTC, a New York time would be of another session's hours.
        raise InvalidDataError(f"the column minute is an instant with a time zone, found {dtype}")
    if time == "session" and dtype != pl.Date:
        raise InvalidDataError(f"the column session is a date, found {dtype}")
    return time
