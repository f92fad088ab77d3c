"""Read tables: each object opened once, live parts merged with their base."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.lake import parquet, tables
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.stream_parts import live_parts


def minute_bars(
    store: ObjectStore, session: date, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return a session's bars, best revision of each, sorted by symbol and minute."""
    # Parts first: what a compaction deletes meanwhile is in the base read after it.
    live = [
        (entry.path, got[0])
        for entry in live_parts(store, session)
        if (got := store.get(entry.path))
    ]
    path = tables.data("minute_bars", session)
    found = store.get(path)
    wanted = list(columns) if columns is not None else list(MINUTE_BARS)
    if found and not live:
        return parquet.decode(path, found[0], MINUTE_BARS, columns=wanted)
    base = [parquet.decode(path, found[0], MINUTE_BARS)] if found else []
    return bars.merge(MINUTE_BARS, parquet.decode_all(live, MINUTE_BARS), *base).select(wanted)


def raw_quotes(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return a session's polled quotes."""
    return _one(store, "raw_quotes", session, RAW_QUOTES)


def daily_bars(store: ObjectStore, first_year: int, last_year: int) -> pl.DataFrame:
    """Return the daily bars of the years, both included, sorted by symbol and session."""
    frames = [
        _one(store, "daily_bars", year, DAILY_BARS) for year in range(first_year, last_year + 1)
    ]
    return pl.concat([pl.DataFrame(schema=DAILY_BARS), *frames]).sort("symbol", "session")


def table(store: ObjectStore, name: str, partition: tables.Partition) -> pl.DataFrame:
    """Return one object of a table; no rows (and no columns, if not ours) where there is none."""
    known = tables.TABLES.get(name)
    return _one(store, name, partition, known.schema if known else None)


def sessions_present(store: ObjectStore, name: str) -> set[date]:
    """Return the days for which a table has at least one object."""
    found = (tables.partition_of(folder) for folder in store.folders(name))
    return {day for day in found if isinstance(day, date)}


def years_present(store: ObjectStore, name: str) -> list[int]:
    """Return the years for which a table has an object, rising."""
    found = (tables.partition_of(folder) for folder in store.folders(name))
    return sorted(year for year in found if isinstance(year, int))


def _one(
    store: ObjectStore, name: str, partition: tables.Partition, schema: pl.Schema | None
) -> pl.DataFrame:
    path = tables.data(name, partition)
    found = store.get(path)
    if found is None:
        return pl.DataFrame(schema=schema)
    return parquet.decode(path, found[0], schema)
