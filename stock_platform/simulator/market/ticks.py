"""Trades and quotes behind a minute bar, made from the bar itself.

A function of the row alone, so that the socket and REST tell the same trades,
and of a minute's few trades open, high, low, close and volume come out again.
"""

import polars as pl

_STEP_NS = 1_000


def trades_of(bars: pl.DataFrame, per_minute_max: int) -> pl.DataFrame:
    """Make trades of bars: symbol, minute, sip_ns, price, size, sequence, exchange; by minute.

    A bar of fewer than four trades keeps what fits: open and close first.
    """
    wanted = pl.min_horizontal(
        pl.coalesce("transactions", per_minute_max), pl.lit(per_minute_max), "volume"
    )
    rows = (
        bars.with_columns(trades=wanted.cast(pl.Int64).clip(1), row=pl.int_range(pl.len()))
        .with_columns(nth=pl.int_ranges(0, "trades"))
        .explode("nth")
    )
    nth, count = pl.col("nth"), pl.col("trades")
    price = (
        pl.when(nth == 0)
        .then("open")
        .when(nth == count - 1)
        .then("close")
        .when(nth == 1)
        .then("high")
        .when(nth == 2)
        .then("low")
        .otherwise("vwap")
    )
    each = (pl.col("volume") / count).floor()
    size = pl.when(nth == count - 1).then(pl.col("volume") - each * (count - 1)).otherwise(each)
    return rows.select(
        "symbol",
        "minute",
        _instant(nth, count, pl.col("symbol")).alias("sip_ns"),
        price.fill_null(pl.col("close")).alias("price"),
        size.round(6).alias("size"),
        _sequence(nth).alias("sequence"),
        (pl.lit(10) + nth % 3).alias("exchange"),
    )


def quotes_of(bars: pl.DataFrame, per_minute_max: int) -> pl.DataFrame:
    """Make quotes of bars: symbol, minute, sip_ns, bid, ask, bid_size, ask_size, sequence."""
    rows = (
        bars.with_columns(quotes=pl.lit(per_minute_max))
        .with_columns(nth=pl.int_ranges(0, "quotes"))
        .explode("nth")
    )
    nth, count = pl.col("nth"), pl.col("quotes")
    middle = pl.col("open") + (pl.col("close") - pl.col("open")) * (nth + 1) / count
    bid = (middle - 0.01).round(2).clip(0.01)
    return rows.select(
        "symbol",
        "minute",
        (_instant(nth, count, pl.col("symbol")) - 500_000).alias("sip_ns"),
        bid.alias("bid"),
        (bid + 0.02).round(2).alias("ask"),
        (nth % 5 + 1).alias("bid_size"),
        ((nth + 2) % 5 + 1).alias("ask_size"),
        _sequence(nth).alias("sequence"),
    )


def _instant(nth: pl.Expr, count: pl.Expr, symbol: pl.Expr) -> pl.Expr:
    """Spread the events over the minute, a little differently for each symbol."""
    jitter = symbol.str.len_bytes().cast(pl.Int64) * 7_919 % 997 * _STEP_NS
    into = ((2 * nth + 1) * 30_000_000_000 // count) + jitter
    return pl.col("minute").dt.epoch("ns") + into


def _sequence(nth: pl.Expr) -> pl.Expr:
    """Rising per symbol, with holes, as on the real tape."""
    minute_of_day = pl.col("minute").dt.epoch("s") % 86_400 // 60
    return minute_of_day * 1_000 + nth * 3 + 1
