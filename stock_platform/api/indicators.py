"""Stored indicators as one frame."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.errors import InvalidDataError
from stock_platform.indicators.indicator import Indicator, Timeframe
from stock_platform.indicators.registry import builtin, choose, installed
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.pipelines.indicators.stores import VALUES

_KEYS: dict[Timeframe, pl.Schema] = {
    "daily": pl.Schema({"symbol": pl.String(), "session": pl.Date()}),
    "minute": pl.Schema({"symbol": pl.String(), "minute": TIMESTAMP_US, "session": pl.Date()}),
}


def stored_indicators(
    store: ObjectStore, timeframe: Timeframe, first: date, last: date
) -> pl.DataFrame:
    """Return every stored output of the sessions `first` to `last`, sorted by symbol and time."""
    read_values = _daily if timeframe == "daily" else _minute
    key = _KEYS[timeframe]
    frames = read_values(store, first, last)
    rows = pl.concat([pl.DataFrame(schema=key), *frames], how="diagonal")
    return rows.sort(list(key)[:2])


def with_outputs(
    rows: pl.DataFrame, timeframe: Timeframe, names: Sequence[str] | None
) -> pl.DataFrame:
    """Return the key and the outputs that `names` (None: all) choose, as far as stored.

    Raises `InvalidDataError` for a name that is no indicator and no output column.
    """
    if names is None:
        return rows
    names = [names] if isinstance(names, str) else names
    wanted = [
        column.name
        for indicator in _chosen(timeframe, list(names))
        for column in indicator.columns
        if indicator.name in names or column.name in names
    ]
    stored = [name for name in dict.fromkeys(wanted) if name in rows.columns]
    return rows.select(*_KEYS[timeframe], *stored)


def _chosen(timeframe: Timeframe, names: list[str]) -> list[Indicator]:
    try:
        # Ours first: a package that cannot be loaded fails only who needs its indicators.
        return choose(builtin(), timeframe, names) if names else []
    except InvalidDataError:
        return choose(installed(), timeframe, names)


def _daily(store: ObjectStore, first: date, last: date) -> list[pl.DataFrame]:
    table = VALUES["daily"]
    years = [y for y in read.years_present(store, table) if first.year <= y <= last.year]
    frames = [read.table(store, table, year) for year in years]
    return [frame.filter(pl.col("session").is_between(first, last)) for frame in frames]


def _minute(store: ObjectStore, first: date, last: date) -> list[pl.DataFrame]:
    table = VALUES["minute"]
    sessions = sorted(s for s in read.sessions_present(store, table) if first <= s <= last)
    return [
        read.table(store, table, session).with_columns(pl.lit(session, pl.Date).alias("session"))
        for session in sessions
    ]
