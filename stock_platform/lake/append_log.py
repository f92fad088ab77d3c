"""Tables that grow by immutable parts: provider responses and the quarantine.

A part is named by its content, so appending the same rows again adds nothing.
Many small parts are compacted into one; it is written before its sources are
deleted, and a reader that meets both returns each row once.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import PROVIDER_RESPONSES, ProviderResponse
from stock_platform.errors import TransientError
from stock_platform.lake import parquet, tables
from stock_platform.lake.object_store import ObjectStore

PARTS_MAX = 64
"""Parts of one partition; the writer of one more compacts them."""
LISTINGS_MAX = 10
"""Times a reader lists again because a compaction deleted the parts it was about to read."""
QUARANTINE_DAYS = 400
"""Days a rejected row is kept; `expire_quarantine` deletes older ones."""

_SAME_RESPONSE = tuple(PROVIDER_RESPONSES)
_SAME_REJECTED = tuple(name for name in REJECTED if name != "observed_at")


def append(store: ObjectStore, table: str, partition: date, rows: pl.DataFrame) -> str:
    """Write `rows` as a part unless the same rows are stored already; return its path."""
    # The digest is of the rows, not of the file: another release may compress differently.
    text = rows.with_columns(pl.col(pl.Datetime).dt.epoch("us")).write_csv()
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = tables.part(table, partition, digest)
    folder = tables.folder(table, partition)
    store.put_if_absent(path, parquet.encode(table, rows, folder=folder))
    return path


def read_parts(
    store: ObjectStore, table: str, partition: date, *, whole: bool = False
) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of a partition, compacted or not, and the paths of their parts.

    Raises `TransientError` when parts were deleted during each of `LISTINGS_MAX` readings,
    and with `whole` `PermanentError` for a part whose checksum is wrong.
    """
    schema = tables.TABLES[table].schema
    for _ in range(LISTINGS_MAX):
        paths = [entry.path for entry in store.list(tables.folder(table, partition))]
        found = [(path, got[0]) for path in paths if (got := store.get(path))]
        # A part that a compaction deleted meanwhile is in the part the next listing shows.
        if len(found) == len(paths):
            for path, data in found if whole else ():
                parquet.require_whole(path, data)
            return parquet.decode_all(found, schema), paths
    raise TransientError(f"parts of {table} of {partition} kept vanishing while they were read")


def compact(store: ObjectStore, table: str, partition: date, *, same: Sequence[str]) -> int:
    """Merge a partition's parts into one; return how many were deleted. See `deduplicate`."""
    rows, paths = read_parts(store, table, partition, whole=True)
    if len(paths) < 2:
        return 0
    merged = append(store, table, partition, deduplicate(rows, same=same))
    gone = [path for path in paths if path != merged]
    store.delete(gone)
    return len(gone)


def deduplicate(rows: pl.DataFrame, *, same: Sequence[str]) -> pl.DataFrame:
    """Keep one of the rows equal in `same`, the one observed first; order does not matter."""
    order = [*same, *(name for name in rows.columns if name not in same)]
    return rows.sort(order, nulls_last=True).unique(list(same), keep="first", maintain_order=True)


def record_responses(
    store: ObjectStore, session: date, responses: Sequence[ProviderResponse]
) -> int:
    """Append what providers answered about a session; return the rows. Safe to repeat.

    They are the evidence that a minute without a bar is empty.
    """
    rows = pl.DataFrame(
        [row for response in responses for row in response.to_rows()],
        schema=PROVIDER_RESPONSES,
        orient="row",
    )
    if rows.height:
        append(store, "answers", session, deduplicate(rows, same=_SAME_RESPONSE))
        if len(store.list(tables.folder("answers", session))) > PARTS_MAX:
            compact_responses(store, session)
    return rows.height


def read_responses(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return the responses about a session as `PROVIDER_RESPONSES`, each once."""
    rows, _ = read_parts(store, "answers", session)
    return deduplicate(rows, same=_SAME_RESPONSE)


def compact_responses(store: ObjectStore, session: date) -> int:
    """Merge a session's responses into one part; return how many parts were deleted."""
    return compact(store, "answers", session, same=_SAME_RESPONSE)


def record_rejected(store: ObjectStore, rejected: pl.DataFrame) -> int:
    """Append rejected rows (`REJECTED`) under the UTC day of `observed_at`.

    Returns how many were new: a row rejected again on the same day, alone or among
    others, adds nothing. Raises `PermanentError` for other columns.
    """
    parquet.require("rows to quarantine", rejected, REJECTED)
    day = pl.col("observed_at").dt.date()
    added = 0
    for on in rejected.select(day.unique().sort()).to_series().to_list():
        known, paths = read_parts(store, "quarantine", on)
        rows = deduplicate(rejected.filter(day == on), same=_SAME_REJECTED)
        fresh = rows.join(
            known, on=list(_SAME_REJECTED), how="anti", nulls_equal=True, maintain_order="left"
        )
        if fresh.height:
            append(store, "quarantine", on, fresh)
            added += fresh.height
        if len(paths) >= PARTS_MAX:
            compact_quarantine(store, on)
    return added


def compact_quarantine(store: ObjectStore, on: date) -> int:
    """Merge a day's rejected rows into one part; return how many parts were deleted."""
    return compact(store, "quarantine", on, same=_SAME_REJECTED)


def expire_quarantine(store: ObjectStore, today: date, *, keep_days: int = QUARANTINE_DAYS) -> int:
    """Delete the days that ended more than `keep_days` ago; return how many parts."""
    oldest = today - timedelta(days=keep_days)
    names = store.folders("quarantine")
    days = [day for name in names if isinstance(day := tables.partition_of(name), date)]
    gone = [
        entry.path
        for day in days
        if day < oldest
        for entry in store.list(tables.folder("quarantine", day))
    ]
    store.delete(gone)
    return len(gone)
