"""Write tables: read, merge, compare and swap; skip the write when nothing is new.

Merging is commutative and idempotent, so a writer that loses the race reads
again and merges again, and repeating a step changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import polars as pl

from stock_platform.domain import bars as bar
from stock_platform.domain import claims
from stock_platform.domain.quotes import RAW_QUOTES, merge_quotes
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import PermanentError
from stock_platform.lake import history, parquet, tables
from stock_platform.lake.checksums import is_rising, object_checksum
from stock_platform.lake.object_store import ObjectStore, update


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What one publication did to one object."""

    table: str
    partition: tables.Partition
    rows: int
    added: int
    changed: int
    """Rows whose values differ from before; a later time of observation alone does not count."""
    retracted: int = 0
    """Keys that have no row any more: the record took their bars back."""
    written: bool
    uri: str
    sha256: str
    """Of the object's bytes, as kept in it; the same again when nothing was written."""
    revisions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One object, its key, the columns it must have (None: any) and how to merge into it."""

    table: str
    partition: tables.Partition
    key: tuple[str, ...]
    schema: pl.Schema | None
    merge: Callable[[pl.DataFrame], pl.DataFrame]


def publish_minute_bars(
    store: ObjectStore, session: date, bars: pl.DataFrame, *, retracted: pl.DataFrame | None = None
) -> Published:
    """Merge bars of one session into the lake, the best claim of each minute winning.

    What loses goes to `minute_bars_history`. `retracted` are claims that there is no bar,
    see `claims.retractions`. Raises `PermanentError` when a row belongs to another session
    or the columns are not those of `MINUTE_BARS`. Safe to repeat and to run beside others.
    """
    parquet.require("minute_bars to publish", bars, bar.MINUTE_BARS)
    require_session(bars, session)
    news = claims.of_bars(bar.MINUTE_BARS, bars)
    if retracted is not None:
        require_session(retracted, session)
        news = pl.concat([news, retracted])
    return _publish_claims(store, "minute_bars", session, news)


def publish_daily_bars(
    store: ObjectStore, bars: pl.DataFrame, *, retracted: pl.DataFrame | None = None
) -> list[Published]:
    """Merge daily bars into the objects of their years, oldest year first.

    What loses goes to `daily_bars_history`; `retracted` as in `publish_minute_bars`.
    Raises `PermanentError` for other columns and for a row without a session.
    """
    parquet.require("daily_bars to publish", bars, bar.DAILY_BARS)
    if bars["session"].null_count():
        raise PermanentError("daily_bars to publish: a row has no session")
    news = claims.of_bars(bar.DAILY_BARS, bars)
    if retracted is not None:
        news = pl.concat([news, retracted])
    year = news["session"].dt.year()
    return [
        _publish_claims(store, "daily_bars", each, news.filter(year == each))
        for each in year.unique().sort().to_list()
    ]


def _publish_claims(
    store: ObjectStore, table: str, partition: tables.Partition, news: pl.DataFrame
) -> Published:
    known, path = tables.TABLES[table], tables.data(table, partition)

    def change(found: bytes | None) -> tuple[bytes | None, Published]:
        if found is not None:
            # Merging into flipped bits and writing the result would make them look right for ever.
            parquet.require_whole(path, found)
        stored = history.decode_bars(path, found, known.schema)
        merged = history.merge_news(
            known.schema, stored, news, lambda: history.read_others(store, table, partition)
        )
        if merged.others.height:
            # Before the bars: stopped in between, no claim is lost.
            history.keep_others(store, table, partition, merged.others)
        rows = merged.bars.select(list(known.schema))
        before = stored.select(list(known.schema))
        added, changed = _count_changes(list(known.key), before, rows) if merged.changed else (0, 0)
        if found is None or merged.changed:
            data = parquet.encode(
                table,
                history.without_nothing(merged.bars),
                folder=tables.folder(table, partition),
            )
        else:
            data = found
        published = Published(
            table=table,
            partition=partition,
            rows=rows.height,
            added=added,
            changed=changed,
            retracted=before.height + added - rows.height,
            written=merged.changed,
            uri=store.uri(path),
            sha256=object_checksum(data),
            revisions=_revisions(rows),
        )
        return data if merged.changed else None, published

    return update(store, path, change)


def publish_quotes(store: ObjectStore, session: date, quotes: pl.DataFrame) -> Published:
    """Merge polled quotes of one session; of one key the first observation stays.

    Raises `PermanentError` for other columns and for a row of another session.
    """
    parquet.require("raw_quotes to publish", quotes, RAW_QUOTES)
    require_session(quotes, session)
    return _publish(store, "raw_quotes", session, lambda stored: merge_quotes(stored, quotes))


def publish_table(
    store: ObjectStore,
    table: str,
    partition: tables.Partition,
    frame: pl.DataFrame,
    *,
    key: Sequence[str],
    mode: Literal["merge", "replace"] = "merge",
) -> Published:
    """Merge (or, with `replace`, put) keyed rows into one object of any table.

    Of one key the row observed last wins (by `observed_at` where there is
    one), the incoming row on a tie. A column the stored object lacks is added;
    a column of another type raises `PermanentError`.
    """
    if table in tables.TABLES:
        parquet.require(f"{table} to publish", frame, tables.TABLES[table].schema)
    if frame.select(pl.any_horizontal(pl.col(list(key)).is_null().any()).any()).item():
        raise PermanentError(f"{table} to publish: a row has no {' or '.join(key)}")

    def merge(stored: pl.DataFrame) -> pl.DataFrame:
        kept = stored if mode == "merge" and stored.width else frame.clear()
        return _merge_keyed(table, list(key), kept, frame)

    return _replace(
        store, _Target(table=table, partition=partition, key=tuple(key), schema=None, merge=merge)
    )


def update_table(
    store: ObjectStore,
    table: str,
    partition: tables.Partition,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    key: Sequence[str],
) -> Published:
    """Replace one object of a known table by what `change` makes of its rows.

    `change` may be called again on newer rows when another writer was first. Raises
    `PermanentError` for rows of other columns than the table's.
    """
    schema = tables.TABLES[table].schema

    def changed(stored: pl.DataFrame) -> pl.DataFrame:
        rows = change(stored)
        parquet.require(f"{table} to publish", rows, schema)
        return rows

    return _replace(
        store,
        _Target(table=table, partition=partition, key=tuple(key), schema=schema, merge=changed),
    )


def _publish(
    store: ObjectStore,
    table: str,
    partition: tables.Partition,
    merge: Callable[[pl.DataFrame], pl.DataFrame],
) -> Published:
    known = tables.TABLES[table]
    return _replace(
        store,
        _Target(table=table, partition=partition, key=known.key, schema=known.schema, merge=merge),
    )


def _replace(store: ObjectStore, target: _Target) -> Published:
    path = tables.data(target.table, target.partition)

    def change(found: bytes | None) -> tuple[bytes | None, Published]:
        stored = _stored(path, found, target.schema)
        merged = target.merge(stored)
        added, changed = _count_changes(list(target.key), stored, merged)
        # Fewer rows come from a replacement, more columns from a table that grew.
        written = bool(added or changed) or stored.shape != merged.shape
        folder = tables.folder(target.table, target.partition)
        if found is None or written:
            data = parquet.encode(target.table, merged, folder=folder)
        else:
            data = found
        published = Published(
            table=target.table,
            partition=target.partition,
            rows=merged.height,
            added=added,
            changed=changed,
            written=written,
            uri=store.uri(path),
            sha256=object_checksum(data),
            revisions=_revisions(merged),
        )
        return data if written else None, published

    return update(store, path, change)


def _stored(path: str, found: bytes | None, schema: pl.Schema | None) -> pl.DataFrame:
    if found is None:
        return pl.DataFrame(schema=schema)
    # Merging into flipped bits and writing the result would make them look right for ever.
    parquet.require_whole(path, found)
    return parquet.decode(path, found, schema)


def _count_changes(key: list[str], stored: pl.DataFrame, merged: pl.DataFrame) -> tuple[int, int]:
    """Count keys only `merged` has, and keys whose values differ but for `observed_at`."""
    if not stored.height:
        return merged.height, 0
    if stored.height == merged.height and stored.select(key).equals(merged.select(key)):
        before, after = stored, merged
    else:
        after = merged.join(stored.select(key), on=key, how="semi", maintain_order="left")
        before = stored.join(merged.select(key), on=key, how="semi", maintain_order="left")
    values = [name for name in before.columns if name not in {*key, "observed_at"}]
    differs = pl.select(
        pl.any_horizontal(before[name].ne_missing(after[name]) for name in values).sum().alias("n")
    )
    return merged.height - after.height, int(differs["n"][0] or 0)


def _merge_keyed(
    table: str, key: list[str], stored: pl.DataFrame, incoming: pl.DataFrame
) -> pl.DataFrame:
    for name in set(stored.columns) & set(incoming.columns):
        if stored.schema[name] != incoming.schema[name]:
            raise PermanentError(
                f"{table} has the wrong columns: {name} is {incoming.schema[name]}, "
                f"stored as {stored.schema[name]}"
            )
    rows = pl.concat([stored, incoming], how="diagonal")
    if is_rising(rows, key):
        # A whole session that is replaced is in order already: sorting would copy it twice.
        return rows
    time = ["observed_at"] if "observed_at" in rows.columns else []
    rows = rows.sort([*key, *time], maintain_order=True)
    last = pl.any_horizontal(pl.col(name) != pl.col(name).shift(-1) for name in key)
    return rows.filter(last.fill_null(value=True))


def require_session(rows: pl.DataFrame, session: date) -> None:
    """Raise `PermanentError` when a row of `rows` is not of the session (New York date)."""
    begins = datetime.combine(session, time(), NEW_YORK).astimezone(UTC)
    ends = datetime.combine(session + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)
    inside = pl.col("minute").is_between(begins, ends, closed="left").fill_null(value=False)
    wrong = rows.filter(~inside | pl.col("symbol").is_null())
    if wrong.height:
        symbol, minute = wrong.select("symbol", "minute").row(0)
        raise PermanentError(
            f"{wrong.height} rows do not belong to session {session}, "
            f"the first is {symbol!a} at {minute}"
        )


def _revisions(rows: pl.DataFrame) -> dict[str, int]:
    if "revision" not in rows.columns:
        return {}
    return {str(name): rows for name, rows in rows["revision"].value_counts(sort=True).iter_rows()}
