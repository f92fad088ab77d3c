"""What in bars and corporate actions can hardly be right: named, never changed.

Impossible rows are refused at the edge. What is possible and yet improbable is
kept and named here: a price in pence among prices in pounds, a split that only
only half of a series follows, prices already adjusted where traded ones belong, a
dividend listed twice.
"""

from datetime import timedelta

import polars as pl

JUMP = 0.45
"""A close this far from the one before wants a split as its reason."""
DIVIDENDS_APART_DAYS = 5
"""Funds that pay every week are seven days apart; the same payment listed twice is closer."""
VOLUME_DIFFERENCE = 0.02
LISTING_DAYS = timedelta(days=30)
"""A listing date this far from the first day that evidence shows is somebody else's."""


def invalid_ohlc(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that violate low <= open, close <= high."""
    return bars.filter(
        (pl.col("high") < pl.max_horizontal("open", "close", "low"))
        | (pl.col("low") > pl.min_horizontal("open", "close", "high"))
    )


def unexplained_jumps(days: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Return the daily bars whose close is far from the symbol's one before, splits considered.

    Prices are as traded: they must follow a split as well as jump for nothing else. So
    a split missing from the prices is named like a jump missing from the splits. The
    bar before is the latest one in `days`, whatever lies between. Columns: symbol,
    session, close_before, close, split_factor (what splits make of one dollar).
    """
    rows = (
        days.select("symbol", "session", "close")
        .sort("symbol", "session")
        .with_columns(pl.col("session", "close").shift(1).over("symbol").name.suffix("_before"))
        .filter(pl.col("close_before").is_not_null())
    )
    factors = (
        rows.join(splits.select("symbol", "executed_on", "split_from", "split_to"), on="symbol")
        .filter(
            (pl.col("executed_on") > pl.col("session_before"))
            & (pl.col("executed_on") <= pl.col("session"))
        )
        .group_by("symbol", "session")
        .agg((pl.col("split_from") / pl.col("split_to")).product().alias("split_factor"))
    )
    explained = pl.col("close_before").cast(pl.Float64) * pl.col("split_factor")
    departure = pl.col("close").cast(pl.Float64) / explained
    return (
        rows.join(factors, on=["symbol", "session"], how="left")
        .with_columns(pl.col("split_factor").fill_null(1.0))
        .filter(~departure.is_between(1 - JUMP, 1 + JUMP))
        .select("symbol", "session", "close_before", "close", "split_factor")
        .sort("symbol", "session")
    )


def repeated_dividends(dividends: pl.DataFrame) -> pl.DataFrame:
    """Return the dividends that follow an equal one of the same symbol and kind within days."""
    rows = dividends.sort("symbol", "kind", "ex_on").with_columns(
        pl.col("ex_on", "amount").shift(1).over("symbol", "kind").name.suffix("_before")
    )
    apart = (pl.col("ex_on") - pl.col("ex_on_before")).dt.total_days()
    same = pl.col("amount") == pl.col("amount_before")
    return rows.filter(same & (apart < DIVIDENDS_APART_DAYS)).select(
        "symbol", "ex_on_before", "ex_on", "amount", "provider"
    )


def minute_volume_above_daily(minutes: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return the symbols whose minutes trade more than their daily bar, one session of both."""
    both = (
        minutes.group_by("symbol")
        .agg(pl.col("volume").sum().alias("minutes"))
        .join(days.select("symbol", pl.col("volume").alias("day")), on="symbol")
    )
    bound = pl.col("day").cast(pl.Float64) * (1 + VOLUME_DIFFERENCE)
    return both.filter(pl.col("minutes").cast(pl.Float64) > bound).sort("symbol")


def refuted_listing_dates(securities: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return the securities whose listing date, as their details have it, the lists refute.

    A date long before the first day that evidence shows is that of the company which had the
    symbol before. A security listed since before the first snapshot is not judged.
    """
    first = spans.group_by("security").agg(
        pl.col("from_on").min(), pl.col("from_on").is_null().any().alias("open")
    )
    judged = securities.join(first.filter(~pl.col("open")), on="security")
    apart = pl.col("from_on") - pl.col("listed_on")
    return judged.filter(apart.abs() > LISTING_DAYS).select(
        "symbol", "security", "listed_on", pl.col("from_on").alias("first_day")
    )
