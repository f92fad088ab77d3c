"""What changed in the bars since a cursor: the rows that were added to the history.

The history of a partition only grows, row after row, under compare-and-swap. So how many
rows of each were seen is a cursor that no concurrent writer can make skip or repeat a row.
"""

import json
from dataclasses import dataclass

import polars as pl

from stock_platform.domain import claims
from stock_platform.domain.bars import PRICE, TIMESTAMP_US, VALUE_COLUMNS
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError
from stock_platform.lake import history, tables
from stock_platform.lake.object_store import ObjectStore

_PAIRS: dict[str, pl.DataType] = {
    f"{when}_{name}": pl.Int64() if name == "transactions" else PRICE
    for name in VALUE_COLUMNS
    for when in ("old", "new")
}
CORRECTIONS_COLUMNS: dict[str, pl.DataType] = {
    "table": pl.String(),
    "symbol": pl.String(),
    "session": pl.Date(),
    "minute": TIMESTAMP_US,
    "reason": pl.String(),
    "corrected_at": TIMESTAMP_US,
    **_PAIRS,
}
_BARS = ("minute_bars", "daily_bars")


@dataclass(frozen=True, slots=True)
class Corrections:
    """What changed, and the `cursor` to request what changes after it with.

    news = lake.corrections(since=saved_cursor)
    reload(news.rows["session"].unique()), save(news.cursor)
    """

    rows: pl.DataFrame
    cursor: str


def corrections_since(store: ObjectStore, since: str | None) -> Corrections:
    """Return the corrections recorded after a cursor (None: all of them)."""
    seen, parts = _seen(since), [pl.DataFrame(schema=CORRECTIONS_COLUMNS)]
    for table in _BARS:
        for folder in store.folders(history.table_of(table)):
            partition = tables.partition_of(folder)
            rows = history.read_others(store, table, partition)
            known = seen[table].get(folder, 0)
            if rows.height > known:
                parts.append(_corrections(store, table, partition, rows, rows.slice(known)))
            seen[table][folder] = rows.height
    return Corrections(pl.concat(parts), json.dumps(seen, separators=(",", ":")))


def _seen(cursor: str | None) -> dict[str, dict[str, int]]:
    try:
        given = json.loads(cursor) if cursor else {}
        return {table: {str(k): int(n) for k, n in given.get(table, {}).items()} for table in _BARS}
    except (AttributeError, TypeError, ValueError):
        raise InvalidDataError("not a cursor that `corrections` returned") from None


def _corrections(  # noqa: PLR0917 - the partition, what is in it, and what of it is new
    store: ObjectStore,
    table: str,
    partition: tables.Partition,
    everything: pl.DataFrame,
    fresh: pl.DataFrame,
) -> pl.DataFrame:
    """Return the rows of a history as what was before and what came instead."""
    schema = tables.TABLES[table].schema
    key = list(schema)[:2]
    path = tables.data(table, partition)
    found = store.get(path)
    stored = history.decode_bars(path, found[0] if found else None, schema)
    names = list(claims.history_schema(schema))
    won = pl.concat(
        [
            claims.of_bars(schema, stored),
            claims.of_stored(schema, stored),
            everything.select(names),
        ]
    ).select(
        *key,
        pl.col("observed_at").alias("superseded_at"),
        *(pl.col(name).alias(f"new_{name}") for name in VALUE_COLUMNS),
    )
    # Of claims observed at once the one in the table won: it comes first.
    won = won.unique([*key, "superseded_at"], keep="first", maintain_order=True)
    ended = fresh.filter(pl.col("superseded_at") > pl.col("observed_at"))
    rows = ended.join(won, on=[*key, "superseded_at"], how="left", maintain_order="left")
    rows = rows.rename({name: f"old_{name}" for name in VALUE_COLUMNS})
    differs = pl.any_horizontal(
        pl.col(f"old_{name}").ne_missing(pl.col(f"new_{name}")) for name in VALUE_COLUMNS
    )
    if "minute" in schema:
        local = pl.col("minute").dt.convert_time_zone(NEW_YORK.key).dt.date()
        when = [local.alias("session"), pl.col("minute")]
    else:
        when = [pl.col("session"), pl.lit(None, TIMESTAMP_US).alias("minute")]
    return rows.filter(differs).select(
        pl.lit(table).alias("table"),
        "symbol",
        *when,
        "reason",
        pl.col("superseded_at").alias("corrected_at"),
        *_PAIRS,
    )
