"""Every indicator by name: ours, those that installed packages add, those declared here.

A package adds its own through the entry point group `stock_platform.indicators`;
an entry names an `Indicator`, or a function without arguments that returns one or
several. Ours can be reused with other parameters: `trend.ema(200)`. `@indicator`
(declare.py) adds one to the running process.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators.indicator import Indicator, Timeframe
from stock_platform.indicators.library import momentum, returns, trend, volatility, volume

GROUP = "stock_platform.indicators"

_declared: dict[str, Indicator] = {}


def builtin() -> list[Indicator]:
    """Return the indicators of this package, in the order of their documentation."""
    return [
        trend.sma(),
        trend.ema(),
        trend.wma(),
        trend.macd(),
        trend.adx(),
        momentum.rsi(),
        momentum.stochastic(),
        momentum.cci(),
        momentum.mfi(),
        volatility.bollinger(),
        volatility.atr(),
        volatility.rolling_std(),
        volatility.volatility(),
        volume.obv(),
        volume.vwap(),
        volume.session_vwap(),
        volume.relative_volume(),
        returns.rolling_average(),
        returns.daily_change(),
        returns.bar_change(),
        returns.gap(),
    ]


def installed(added: Iterable[EntryPoint] | None = None) -> list[Indicator]:
    """Return every indicator: built in, then of entry points by name, then declared here.

    Raises `PermanentError` naming the entry point that cannot be loaded or returns
    something else, and `InvalidDataError` when two would write the same column.
    """
    found = builtin()
    entries = entry_points(group=GROUP) if added is None else added
    for entry in sorted(entries, key=lambda entry: entry.name):
        found.extend(_loaded(entry))
    # An entry point may name what its module declares: that is one indicator.
    found.extend(i for i in _declared.values() if not any(i is other for other in found))
    _refuse_clashes(found)
    return found


def register(indicator: Indicator) -> None:
    """Add an indicator to this process, in place of one registered under the same name.

    Raises `InvalidDataError` when a built-in or another registered one writes its columns.
    """
    others = [other for name, other in _declared.items() if name != indicator.name]
    _refuse_clashes([*builtin(), *others, indicator])
    _declared[indicator.name] = indicator


def choose(
    indicators: Sequence[Indicator], timeframe: Timeframe, names: Sequence[str] = ()
) -> list[Indicator]:
    """Keep the indicators of a timeframe; with `names`, only those (by name or column).

    An unknown name raises `InvalidDataError`, which lists those there are.
    """
    fitting = [indicator for indicator in indicators if timeframe in indicator.timeframes]
    if not names:
        return fitting
    labels = {i.name: {i.name, *(column.name for column in i.columns)} for i in fitting}
    unknown = set(names).difference(*labels.values())
    if unknown:
        raise InvalidDataError(
            f"no {timeframe} indicator {sorted(unknown)}; there are {sorted(labels)}"
        )
    return [indicator for indicator in fitting if labels[indicator.name] & set(names)]


def value_schema(indicators: Sequence[Indicator], timeframe: Timeframe) -> pl.Schema:
    """Return the columns of a frame of values: the key, then every output."""
    key: dict[str, pl.DataType] = {"symbol": pl.String(), "session": pl.Date()}
    if timeframe == "minute":
        key = {"symbol": pl.String(), "minute": TIMESTAMP_US}
    return pl.Schema({**key, **{c.name: pl.Float64() for i in indicators for c in i.columns}})


def descriptions(indicators: Sequence[Indicator]) -> dict[str, str]:
    """Return for each output column what it holds and in which unit."""
    return {
        column.name: f"{indicator.title}: {column.doc} ({column.unit})"
        for indicator in indicators
        for column in indicator.columns
    }


def _loaded(entry: EntryPoint) -> list[Indicator]:
    try:
        given = entry.load()
        given = given if isinstance(given, Indicator) else given()
        found = [given] if isinstance(given, Indicator) else list(given)
    except Exception as error:
        raise PermanentError(f"indicator entry point {entry.name!r}: {error}") from error
    if not found or not all(isinstance(indicator, Indicator) for indicator in found):
        raise PermanentError(f"indicator entry point {entry.name!r} names no Indicator")
    return found


def _refuse_clashes(indicators: Sequence[Indicator]) -> None:
    for timeframe in ("daily", "minute"):
        fitting = [i for i in indicators if timeframe in i.timeframes]
        _refuse_repeats([(column.name, i.name) for i in fitting for column in i.columns])
        _refuse_repeats([(column.name, i.name) for i in fitting for column in i.state])


def _refuse_repeats(columns: Sequence[tuple[str, str]]) -> None:
    owner: dict[str, str] = dict.fromkeys(("symbol", "session", "minute", "last"), "the key")
    for column, name in columns:
        if column in owner:
            raise InvalidDataError(f"{name} and {owner[column]} both write {column!r}")
        owner[column] = name
