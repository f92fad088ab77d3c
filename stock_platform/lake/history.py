"""Bars with all that was ever claimed of them: what `write` merges into and `as_of` reads.

The history of a partition is an object of its own that holds only what changed. It is
written before the bars that supersede its claims, and only grows: whatever happens in
between, no claim is lost, and merging again ends where merging once would have.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from stock_platform.domain import bars as bar
from stock_platform.domain import claims
from stock_platform.domain.claims import BESIDE
from stock_platform.lake import parquet, tables
from stock_platform.lake.object_store import ObjectStore, update

_PROVENANCE = ("provider", "revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Stored bars with news: the bars now (with `BESIDE`), and the claims that are news of old."""

    bars: pl.DataFrame
    others: pl.DataFrame
    changed: bool
    """Whether the bars, or what stands beside them, are others than before."""


def table_of(table: str) -> str:
    """Return the name of a table's history."""
    return f"{table}_history"


def decode_bars(path: str, found: bytes | None, schema: pl.Schema) -> pl.DataFrame:
    """Read the bars of an object (None: none) with what stands beside them."""
    if found is None:
        return pl.DataFrame(schema={**schema, **BESIDE})
    return parquet.decode(path, found, pl.Schema({**schema, **BESIDE}))


def read_others(store: ObjectStore, table: str, partition: tables.Partition) -> pl.DataFrame:
    """Return the claims of a partition that are not, or no longer, its bars."""
    name = table_of(table)
    path, schema = tables.data(name, partition), tables.TABLES[name].schema
    found = store.get(path)
    return parquet.decode(path, found[0], schema) if found else pl.DataFrame(schema=schema)


def keep_others(
    store: ObjectStore, table: str, partition: tables.Partition, others: pl.DataFrame
) -> None:
    """Add claims to the history of a partition; those it holds already add nothing."""
    name = table_of(table)
    path, schema = tables.data(name, partition), tables.TABLES[name].schema

    def change(found: bytes | None) -> tuple[bytes | None, None]:
        if found is not None:
            parquet.require_whole(path, found)
        known = parquet.decode(path, found, schema) if found else pl.DataFrame(schema=schema)
        fresh = _absent_from(known, others.select(list(schema)))
        if not fresh.height:
            return None, None
        # Rows only ever follow those that are there: how many there were is a cursor.
        rows = pl.concat([known, fresh])
        return parquet.encode(name, rows, folder=tables.folder(name, partition)), None

    update(store, path, change)


def merge_news(
    schema: pl.Schema, stored: pl.DataFrame, news: pl.DataFrame, others: Callable[[], pl.DataFrame]
) -> Merged:
    """Merge claims that are `news` into stored bars (with `BESIDE`) and their history.

    A claim that repeats the bar as it is, observed later, is no news. `others` reads the
    claims of the history; it is called only when something is new.
    """
    names = list(schema)
    keys = bar.integer_keys(
        pl.concat([stored.select(names[:2]), news.select(names[:2])]), names[0], names[1]
    )
    held, ours = keys.head(stored.height), keys.tail(news.height)
    fresh = ~_is_repeated(stored, news, held, ours)
    if not fresh.any():
        return Merged(bars=stored, others=news.clear(), changed=False)
    if not fresh.all():
        # What repeats the bar is news where the same key has another claim as well.
        fresh |= ours.is_in(ours.filter(fresh).implode())
        news, ours = news.filter(fresh), ours.filter(fresh)
    written = others()
    past = written.select(list(claims.history_schema(schema)))
    touched = held.is_in(ours.implode()) if held.len() else pl.Series([], dtype=pl.Boolean)
    contested = news["retracted"] | _repeats(ours) | ours.is_in(held.filter(touched).implode())
    past_keys = ours.clear()
    if past.height:
        known = news.select(names[:2]).with_columns(ours.alias("key")).unique()
        past = past.join(known, on=names[:2], how="inner")
        past_keys = past["key"]
        past = past.drop("key")
        contested |= ours.is_in(past_keys.implode())
    plain = claims.with_beside(news.filter(~contested).select(names))
    before, own = stored.filter(touched), held.filter(touched)
    beside = before["claim_observed_at"].is_not_null()
    settled = claims.settle(
        schema,
        pl.concat([claims.of_stored(schema, before), past, news.filter(contested)]),
        before,
        keys=pl.concat([own, own.filter(beside), past_keys, ours.filter(contested)]),
    )
    if not plain.height and settled.bars.equals(before):
        return Merged(bars=stored, others=_absent_from(written, settled.others), changed=False)
    rows = pl.concat([stored.filter(~touched), plain, settled.bars])
    keys = pl.concat([held.filter(~touched), ours.filter(~contested), settled.keys])
    return Merged(
        bars=_sorted(rows, keys), others=_absent_from(written, settled.others), changed=True
    )


def without_nothing(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars without the columns beside them when there is nothing in any of these."""
    if all(rows[name].null_count() == rows.height for name in BESIDE):
        return rows.drop(list(BESIDE))
    return rows


def _is_repeated(
    stored: pl.DataFrame, news: pl.DataFrame, held: pl.Series, ours: pl.Series
) -> pl.Series:
    """Return which of the news say what is stored, by the same provider, later or then."""
    nothing = pl.repeat(value=False, n=news.height, eager=True, dtype=pl.Boolean)
    if not held.len() or not news.height:
        return nothing
    at = held.search_sorted(ours).cast(pl.UInt32).clip(upper_bound=held.len() - 1)
    hit = held.gather(at) == ours
    if not hit.any():
        return nothing
    # Another provider or revision, as of a file over a stream, is seen before any value.
    claim = stored.select(*_PROVENANCE, "observed_at")[at]
    same = hit & bar.same_rows(claim.select(_PROVENANCE), news.select(_PROVENANCE))
    same &= news["observed_at"] >= claim["observed_at"]
    if not same.any():
        return nothing
    values = claims.own(stored).select(bar.VALUE_COLUMNS)[at]
    return same & bar.same_rows(values, news.select(bar.VALUE_COLUMNS))


def _repeats(keys: pl.Series) -> pl.Series:
    """Return which keys there are more than once."""
    if not keys.is_sorted():
        return keys.is_duplicated()
    same = (keys == keys.shift(1)).fill_null(value=False)
    return same | same.shift(-1).fill_null(value=False)


def _absent_from(known: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the claims of `rows` that are not among the `known` ones.

    A retraction that no longer stands is another row than it was while it stood.
    """
    if not known.height or not rows.height:
        return rows
    claim = [name for name in rows.columns if name not in {"reason", "superseded_at"}]
    ended = (pl.col("retracted") & pl.col("superseded_at").is_not_null()).alias("ended")
    fresh = rows.with_columns(ended).unique([*claim, "ended"], maintain_order=True)
    fresh = fresh.join(
        known.with_columns(ended),
        on=[*claim, "ended"],
        how="anti",
        nulls_equal=True,
        maintain_order="left",
    )
    return fresh.drop("ended")


def _sorted(rows: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    if keys.is_sorted():
        return rows
    order = keys.arg_sort()
    return pl.DataFrame([rows[name].rechunk().gather(order) for name in rows.columns])
