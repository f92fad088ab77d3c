"""Write sessions of the lake's daily bars to `stock_data`."""

from datetime import date

import polars as pl

from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.serving.postgres.rows import AVERAGE_DAYS, Upserted, stock_data_rows
from stock_platform.serving.postgres.store import StockData

_NEEDED = ("symbol", "session", "open", "high", "low", "close", "volume")


def refresh_stock_data(
    lake: ObjectStore, stock_data: StockData, first: date, last: date
) -> Upserted:
    """Upsert the sessions `first` to `last`, and the four bars of each symbol after them.

    Those four look back on a bar that may just have been healed. Only rows that
    differ are written, so a repeat, a backfill or a wider range costs reading only.
    Averages and changes look back as far as the year before `first`.
    """
    bars = read.daily_bars(lake, first.year - 1, last.year + 1).select(_NEEDED)
    session, others = pl.col("session"), AVERAGE_DAYS - 1
    before = bars.filter(session < first).group_by("symbol", maintain_order=True).tail(others)
    after = bars.filter(session > last).group_by("symbol", maintain_order=True).head(others)
    during = bars.filter(session.is_between(first, last))
    window = pl.concat([frame.select(_NEEDED) for frame in (before, during, after)])
    splits = read.table(lake, "splits", None)
    return stock_data.upsert(stock_data_rows(window, splits=splits, first=first))
