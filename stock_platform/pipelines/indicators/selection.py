"""Which indicators the settings choose, and what their columns hold."""

import polars as pl

from stock_platform.errors import InvalidDataError, PlatformError
from stock_platform.indicators.indicator import Indicator, Timeframe
from stock_platform.indicators.registry import (
    builtin,
    choose,
    descriptions,
    installed,
    value_schema,
)
from stock_platform.settings import Settings

TIMEFRAMES: tuple[Timeframe, ...] = ("daily", "minute")


def chosen(timeframe: Timeframe, settings: Settings) -> list[Indicator]:
    """Return the installed indicators that the settings name.

    Raise `InvalidDataError` for a name there is no indicator or column of.
    A name of the other timeframe alone is passed over here.
    """
    found, names = installed(), settings.indicators.indicators
    if not names:
        return choose(found, timeframe)
    labels = {frame: _labels(choose(found, frame)) for frame in TIMEFRAMES}
    unknown = set(names).difference(*labels.values())
    if unknown:
        raise InvalidDataError(
            f"STOCKS_INDICATORS: there is no indicator or column {sorted(unknown)}"
        )
    here = [name for name in names if name in labels[timeframe]]
    return choose(found, timeframe, here) if here else []


def described(timeframe: Timeframe, settings: Settings) -> tuple[pl.Schema, dict[str, str]]:
    """Return the columns of a timeframe's values, each with what it holds.

    An installed package that cannot be loaded fails the run that needs it, not the
    loading of every definition: its columns are then left out here.
    """
    try:
        indicators = chosen(timeframe, settings)
    except PlatformError:
        indicators = choose(builtin(), timeframe)
    return value_schema(indicators, timeframe), descriptions(indicators)


def _labels(indicators: list[Indicator]) -> set[str]:
    return {label for i in indicators for label in (i.name, *(c.name for c in i.columns))}
