"""Rows of `stock_data` from daily bars: exact prices, and three figures beside them.

All arithmetic is on integers (millionths of a dollar, of a share, of a percent),
never on floats, so the same bars give the same text on every machine and a
repeated upsert finds nothing to change.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from stock_platform.domain.bars import PRICE
from stock_platform.errors import InvalidDataError

FIGURE = pl.Decimal(38, 6)
"""Wider than a price: the range of a stock at 0.000001 dollars, in percent, still fits."""

STOCK_DATA = pl.Schema(
    {
        "date": pl.Date(),
        "symbol": pl.String(),
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": PRICE,
        "volatility": FIGURE,
        "rolling_avg": FIGURE,
        "daily_pct_change": FIGURE,
    }
)
"""Key (symbol, date). Prices as traded, in dollars; volatility and daily_pct_change in
percent; rolling_avg in dollars of that date. Nullable: the last three figures."""

KEY = ("symbol", "date")
VALUES = tuple(name for name in STOCK_DATA if name not in KEY)
AVERAGE_DAYS = 5
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Upserted:
    """Counts of the rows of one upsert; unchanged ones were not written."""

    inserted: int
    updated: int
    unchanged: int


def to_stock_data(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the schema `STOCK_DATA`, sorted by key.

    Raises `InvalidDataError` when a key is there twice.

    Sorted, so that two processes take the locks of the same rows in the same order.
    """
    rows = frame.select(list(STOCK_DATA)).cast(STOCK_DATA).sort(KEY)
    doubled = rows.filter(rows.select(KEY).is_duplicated())
    if doubled.height:
        symbol, day = doubled.select(KEY).row(0)
        raise InvalidDataError(
            f"stock_data takes one row per symbol and date, found two: {symbol} {day}"
        )
    return rows


def stock_data_rows(
    bars: pl.DataFrame, *, splits: pl.DataFrame | None = None, first: date | None = None
) -> pl.DataFrame:
    """Return the rows of `STOCK_DATA` for daily bars, sorted by (symbol, date).

    volatility = (high - low) / close * 100; rolling_avg = mean of this and the
    four earlier closes, null until there are five; daily_pct_change = against
    the previous close in `bars`, null for a symbol's first. Halves round away
    from zero, as Postgres' `round` does. With `splits` (domain.reference.SPLITS)
    earlier closes are counted in the shares of the row's own date. Rows before
    `first` are read for the averages only: pass at least four sessions more than wanted.
    """
    rows = _with_share_factor(bars.sort("symbol", "session"), splits).with_columns(
        _earlier_close(lag).alias(f"close_{lag}") for lag in range(AVERAGE_DAYS)
    )
    close, before = pl.col("close_0"), pl.col("close_1")
    spread = (pl.col("high").to_physical() - pl.col("low").to_physical()).cast(pl.Int128)
    total = pl.col("close_0")
    for lag in range(1, AVERAGE_DAYS):
        total = total + pl.col(f"close_{lag}")
    figures = rows.select(
        pl.col("session").alias("date"),
        *("symbol", "open", "high", "low", "close", "volume"),
        _decimal(_rounded(spread * 100 * _MILLION, close)).alias("volatility"),
        _decimal(_rounded(total, pl.lit(AVERAGE_DAYS, pl.Int128))).alias("rolling_avg"),
        _decimal(_rounded((close - before) * 100 * _MILLION, before)).alias("daily_pct_change"),
    )
    kept = figures if first is None else figures.filter(pl.col("date") >= first)
    return kept.cast(STOCK_DATA)


def _with_share_factor(bars: pl.DataFrame, splits: pl.DataFrame | None) -> pl.DataFrame:
    """Add `factor`, the product of every split up to the row: equal factors, equal shares."""
    if splits is None or splits.is_empty():
        return bars.with_columns(pl.lit(1.0).alias("factor"))
    ratio = pl.col("split_from") / pl.col("split_to")
    factors = (
        splits.sort("symbol", "executed_on")
        .select("symbol", "executed_on", ratio.cum_prod().over("symbol").alias("factor"))
        .sort("executed_on")
    )
    return (
        bars.sort("session")
        .join_asof(
            factors,
            left_on="session",
            right_on="executed_on",
            by="symbol",
            check_sortedness=False,
        )
        .with_columns(pl.col("factor").fill_null(1.0))
        .sort("symbol", "session")
    )


def _earlier_close(lag: int) -> pl.Expr:
    """Return the close `lag` rows ago in the shares of this row, in millionths."""
    before = pl.col("close").to_physical().cast(pl.Int128).shift(lag).over("symbol")
    factor = pl.col("factor").shift(lag).over("symbol")
    # A price of at most 10^8 dollars has 14 digits in millionths: exact in a float.
    adjusted = (before.cast(pl.Float64) * (pl.col("factor") / factor)).round().cast(pl.Int128)
    return pl.when(pl.col("factor") == factor).then(before).otherwise(adjusted)


def _rounded(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Divide integers (denominator positive), halves away from zero."""
    size = (numerator.abs() * 2 + denominator) // (denominator * 2)
    return pl.when(numerator < 0).then(pl.lit(0, pl.Int128) - size).otherwise(size)


def _decimal(millionths: pl.Expr) -> pl.Expr:
    return millionths.cast(FIGURE) / _MILLION
