"""Tables that grow by immutable parts: answers and quarantine.

A part is named by its content, so keeping the same rows again adds nothing.
Many small parts are folded into one; the fold is written before its sources
are deleted, and a reader that meets both sees each row once.
"""

import hashlib
from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.errors import TransientError
from stock_platform.lake import parquet, tables
from stock_platform.lake.object_store import ObjectStore

PARTS_MAX = 64
"""Parts of one partition; the writer of one more folds them."""
LISTINGS_MAX = 10
"""Times a reader looks again because a fold took the parts it was about to read."""


def append(store: ObjectStore, table: str, partition: date, rows: pl.DataFrame) -> str:
    """Write `rows` as a part unless the same rows are kept already; return its path."""
    # The digest is of the rows, not of the file: another release may compress differently.
    text = rows.with_columns(pl.col(pl.Datetime).dt.epoch("us")).write_csv()
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = tables.part(table, partition, digest)
    store.put_if_absent(path, parquet.encode(table, rows))
    return path


def read_parts(store: ObjectStore, table: str, partition: date) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of a partition, folded or not, and the paths of their parts."""
    schema = tables.TABLES[table].schema
    for _ in range(LISTINGS_MAX):
        paths = [entry.path for entry in store.list(tables.folder(table, partition))]
        found = [(path, got[0]) for path in paths if (got := store.get(path))]
        # A part that a fold deleted meanwhile is in the fold, which the next listing shows.
        if len(found) == len(paths):
            return parquet.decode_all(found, schema), paths
    raise TransientError(f"parts of {table} of {partition} kept vanishing while they were read")


def compact(store: ObjectStore, table: str, partition: date, *, same: Sequence[str]) -> int:
    """Unite a partition's parts into one; return how many went away. See `unite`."""
    rows, paths = read_parts(store, table, partition)
    if len(paths) < 2:
        return 0
    united = append(store, table, partition, deduplicate(rows, same=same))
    gone = [path for path in paths if path != united]
    store.delete(gone)
    return len(gone)


def deduplicate(rows: pl.DataFrame, *, same: Sequence[str]) -> pl.DataFrame:
    """Keep one of the rows equal in `same`, the one observed first; order does not matter."""
    order = [*same, *(name for name in rows.columns if name not in same)]
    return rows.sort(order, nulls_last=True).unique(list(same), keep="first", maintain_order=True)
