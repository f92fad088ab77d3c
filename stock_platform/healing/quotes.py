"""Quotes for minutes nobody polled, rebuilt from the bars of the same session.

A quote of a past minute cannot be asked for any more, but what it would have
said follows from the bars: the last trade's price and the day so far.
"""

from datetime import datetime

import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES

PROVIDER = "minute_bars"
"""The provider of a rebuilt quote, so that nobody takes it for a polled one."""


def rebuild(bars: pl.DataFrame, minute: datetime, observed_at: datetime) -> pl.DataFrame:
    """Return the quotes of `minute` that a session's `bars` support, in `RAW_QUOTES`.

    price is the close of the last bar up to and including `minute`, quoted_at the end
    of that bar; open, high and low are the day's so far. Symbols without a bar yet have no row.
    """
    so_far = bars.filter(pl.col("minute") <= minute).sort("symbol", "minute")
    return (
        so_far.group_by("symbol", maintain_order=True)
        .agg(
            pl.col("close").last().alias("price"),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            (pl.col("minute").last() + pl.duration(minutes=1)).alias("quoted_at"),
        )
        .with_columns(
            pl.lit(minute).alias("minute"),
            pl.lit(None).alias("previous_close"),
            pl.lit(None).alias("bid"),
            pl.lit(None).alias("ask"),
            pl.lit(PROVIDER).alias("provider"),
            pl.lit(observed_at).alias("observed_at"),
        )
        .select(list(RAW_QUOTES))
        .cast(RAW_QUOTES)
    )


def slots_without(quotes: pl.DataFrame, bars: pl.DataFrame, minutes: list[datetime]) -> list[int]:
    """Return the indices of `minutes` for which bars would give more quotes than are held."""
    begun = bars.group_by("symbol").agg(pl.col("minute").min().alias("begun_at"))
    # A symbol may be quoted and not traded: it must not stand in for one that was.
    counted = (
        quotes.select("symbol", "minute")
        .join(begun, on="symbol")
        .filter(pl.col("begun_at") <= pl.col("minute"))
    )
    held = dict(counted.group_by("minute").agg(pl.col("symbol").n_unique()).iter_rows())
    starts = begun["begun_at"].sort()
    possible = starts.search_sorted(pl.Series(minutes, dtype=starts.dtype), side="right")
    return [
        index
        for index, (minute, symbols) in enumerate(zip(minutes, possible, strict=True))
        if held.get(minute, 0) < symbols
    ]
