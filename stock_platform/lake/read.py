"""Read tables: each object opened once, live parts merged with their base."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from stock_platform.domain import bars, claims
from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.lake import history, parquet, tables
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.stream_parts import live_parts


def minute_bars(
    store: ObjectStore,
    session: date,
    columns: Sequence[str] | None = None,
    *,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Return a session's bars, best claim of each, sorted by symbol and minute.

    With `as_of` those that followed from what had been observed by that instant.
    """
    # Parts first: what a compaction deletes meanwhile is in the base read after it.
    live = [
        (entry.path, got[0])
        for entry in live_parts(store, session)
        if (got := store.get(entry.path))
    ]
    path = tables.data("minute_bars", session)
    found = store.get(path)
    wanted = list(columns) if columns is not None else list(MINUTE_BARS)
    if found and not live and as_of is None:
        return parquet.decode(path, found[0], MINUTE_BARS, columns=wanted)
    streamed = parquet.decode_all(live, MINUTE_BARS)
    base = history.decode_bars(path, found[0] if found else None, MINUTE_BARS)
    others = history.read_others(store, "minute_bars", session)
    if as_of is not None:
        known = [others.select(list(claims.history_schema(MINUTE_BARS)))]
        known.append(claims.of_bars(MINUTE_BARS, streamed))
        return claims.as_of(MINUTE_BARS, base, pl.concat(known), as_of).select(wanted)
    if not others.height and base["claim_observed_at"].null_count() == base.height:
        return bars.merge(MINUTE_BARS, streamed, base).select(wanted)
    news = claims.of_bars(MINUTE_BARS, streamed)
    return history.merge_news(MINUTE_BARS, base, news, lambda: others).bars.select(wanted)


def raw_quotes(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return a session's polled quotes."""
    return _one(store, "raw_quotes", session, RAW_QUOTES)


def daily_bars(
    store: ObjectStore, first_year: int, last_year: int, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Return the daily bars of the years, both included, sorted by symbol and session.

    With `as_of` those that followed from what had been observed by that instant.
    """
    years = range(first_year, last_year + 1)
    if as_of is None:
        frames = [_one(store, "daily_bars", year, DAILY_BARS) for year in years]
    else:
        frames = [_days_as_of(store, year, as_of) for year in years]
    return pl.concat([pl.DataFrame(schema=DAILY_BARS), *frames]).sort("symbol", "session")


def _days_as_of(store: ObjectStore, year: int, as_of: datetime) -> pl.DataFrame:
    path = tables.data("daily_bars", year)
    found = store.get(path)
    stored = history.decode_bars(path, found[0] if found else None, DAILY_BARS)
    return claims.as_of(DAILY_BARS, stored, history.read_others(store, "daily_bars", year), as_of)


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
