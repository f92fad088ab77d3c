"""Bars of minutes outside the hours of the lake: kept, and kept apart.

The stream sends 04:00 to 20:00 whatever the lake holds. In `minute_bars` such bars would
make volume, session VWAP and indicators depend on which days were streamed. They are in
`off_hours_bars`, by the same rule of merging, and move when the hours or the calendar change.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS, merge
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.lake import parquet, read, tables, write
from stock_platform.lake.object_store import ObjectStore, update

TABLE = "off_hours_bars"


@dataclass(frozen=True, slots=True)
class Moved:
    """How many bars of a session changed their table."""

    out: int = 0
    """From `minute_bars`, because their minute is not expected."""
    back: int = 0
    """Into `minute_bars`, because their minute is expected now."""


def split(bars: pl.DataFrame, grid: MinuteGrid) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the bars of the expected minutes of a session, and the others."""
    inside = bars.select(within(grid)).to_series()
    return (bars, bars.clear()) if inside.all() else (bars.filter(inside), bars.filter(~inside))


def within(grid: MinuteGrid) -> pl.Expr:
    """Return whether a minute is one of a session's expected ones."""
    return pl.col("minute").is_between(grid.opens_at, grid.closes_at, closed="left")


def keep(store: ObjectStore, session: date, bars: pl.DataFrame) -> None:
    """Merge bars into `off_hours_bars`, the best revision of each winning; safe to repeat."""
    write.require_session(bars, session)
    write.update_table(
        store,
        TABLE,
        session,
        lambda stored: merge(MINUTE_BARS, stored, bars),
        key=tables.TABLES[TABLE].key,
    )


def sort_out(store: ObjectStore, grid: MinuteGrid) -> Moved:
    """Move the bars of a session that are in the wrong one of the two tables.

    They are there when the lake's hours or its calendar changed, and in a lake of an earlier
    release. Copied before they are removed: stopped in between, the same call ends it.
    """
    session = grid.session
    out = back = 0
    path = tables.data("minute_bars", session)
    if (found := store.get(path)) is not None:
        minutes = parquet.decode(path, found[0], MINUTE_BARS, columns=["minute"])
        out = minutes.height - minutes.select(within(grid).sum()).item()
    if out:
        _, outside = split(read.table(store, "minute_bars", session), grid)
        keep(store, session, outside)
        _remove(store, "minute_bars", session, outside)
    inside, _ = split(read.table(store, TABLE, session), grid)
    if inside.height:
        back = inside.height
        write.publish_minute_bars(store, session, inside)
        _remove(store, TABLE, session, inside)
    return Moved(out, back)


def _remove(store: ObjectStore, table: str, session: date, copied: pl.DataFrame) -> None:
    """Remove the rows that were copied; one that came or was replaced meanwhile stays."""
    path = tables.data(table, session)

    def change(found: bytes | None) -> tuple[bytes | None, None]:
        if found is None:
            return None, None
        # With every column of the object: what stands beside a bar stays with it.
        rows = parquet.decode(path, found)
        kept = rows.join(
            copied, on=list(MINUTE_BARS), how="anti", nulls_equal=True, maintain_order="left"
        )
        folder = tables.folder(table, session)
        data = parquet.encode(table, kept, folder=folder) if kept.height < rows.height else None
        return data, None

    update(store, path, change)
