"""Quotes: a polled snapshot of one symbol, kept beside the minute it was requested for."""

import polars as pl

from stock_platform.domain.bars import PRICE, TIMESTAMP_US

RAW_QUOTES = pl.Schema(
    {
        "symbol": pl.String(),
        "minute": TIMESTAMP_US,
        "price": PRICE,
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "previous_close": PRICE,
        "bid": PRICE,
        "ask": PRICE,
        "quoted_at": TIMESTAMP_US,
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""`minute` is the rounded minute the quote was requested for, `quoted_at` the provider's own
time of the last trade, `observed_at` when the response came. open, high, low are the day's
so far. Nullable: everything between price and quoted_at. Key (symbol, minute, provider);
a repeat of the same key keeps the quote observed first, so that a repeat changes nothing."""

QUOTE_KEY = ("symbol", "minute", "provider")


def merge_quotes(*frames: pl.DataFrame) -> pl.DataFrame:
    """Unite frames of quotes; of one key the earliest observation stays. Any order, any repeat."""
    rows = pl.concat([frame.select(list(RAW_QUOTES)).cast(RAW_QUOTES) for frame in frames])
    values = [name for name in RAW_QUOTES if name not in {*QUOTE_KEY, "observed_at"}]
    return rows.sort([*QUOTE_KEY, "observed_at", *values], nulls_last=True).unique(
        list(QUOTE_KEY), keep="first", maintain_order=True
    )
