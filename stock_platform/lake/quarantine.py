"""Rows nobody accepted, kept with their reason. Nothing is dropped in silence."""

from datetime import date, timedelta

import polars as pl

from stock_platform.domain.bars import REJECTED
from stock_platform.lake import append_log, tables
from stock_platform.lake.object_store import ObjectStore

KEEP_DAYS = 400
"""Days a rejected row is kept; `expire` deletes older ones."""

_SAME = tuple(name for name in REJECTED if name != "observed_at")


def keep(store: ObjectStore, rejected: pl.DataFrame) -> int:
    """Keep rows of `REJECTED`; return how many of them their day did not know."""
    day = pl.col("observed_at").dt.date()
    kept = 0
    for on in rejected.select(day.unique().sort()).to_series().to_list():
        known, paths = append_log.read_parts(store, "quarantine", on)
        rows = append_log.deduplicate(rejected.filter(day == on), same=_SAME)
        fresh = rows.join(
            known, on=list(_SAME), how="anti", nulls_equal=True, maintain_order="left"
        )
        if fresh.height:
            append_log.append(store, "quarantine", on, fresh)
            kept += fresh.height
        if len(paths) >= append_log.PARTS_MAX:
            compact_quarantine(store, on)
    return kept


def read_quarantine(store: ObjectStore, on: date) -> pl.DataFrame:
    """Return the rows first refused on a day (UTC)."""
    rows, _ = append_log.read_parts(store, "quarantine", on)
    return append_log.deduplicate(rows, same=_SAME)


def compact_quarantine(store: ObjectStore, on: date) -> int:
    """Fold a day's parts into one; return how many went away."""
    return append_log.compact(store, "quarantine", on, same=_SAME)


def expire(store: ObjectStore, today: date, *, keep_days: int = KEEP_DAYS) -> int:
    """Delete the days that ended more than `keep_days` ago; return how many parts went away."""
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
