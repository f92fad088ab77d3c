"""Adjusted bars as frames, by the same SQL as the views `minute_bars_adjusted` and
`daily_bars_adjusted`, so that a frame and a query never differ."""

from collections.abc import Mapping

import duckdb
import polars as pl

from stock_platform.lake.sql.views import fixed_view


def adjust_minute_bars(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Return minute bars in the shares of today, as the view `minute_bars_adjusted`.

    `bars` have the columns of `MINUTE_BARS` and session. Prices and volume become Float64;
    split_factor is added. Sorted by symbol and minute.
    """
    tables = {"minute_bars_best": bars, "splits": splits}
    rows = _select(tables, ["split_factors", "minute_bars_adjusted"])
    return rows.sort("symbol", "minute")


def adjust_daily_bars(
    bars: pl.DataFrame, splits: pl.DataFrame, dividends: pl.DataFrame
) -> pl.DataFrame:
    """Return daily bars in the shares of today, as the view `daily_bars_adjusted`.

    `bars` (`DAILY_BARS`) hold the session before every ex-date, whose close a dividend is
    compared with. Adds split_factor, dividend_factor and adj_close. Sorted by symbol and
    session.
    """
    tables = {"daily_bars_stored": bars, "splits": splits, "dividends": dividends}
    rows = _select(tables, ["split_factors", "dividend_factors", "daily_bars_adjusted"])
    return rows.sort("symbol", "session")


def _select(tables: Mapping[str, pl.DataFrame], views: list[str]) -> pl.DataFrame:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in tables.items():
            connection.register(name, frame.with_columns(pl.col(pl.Enum).cast(pl.String)))
        for name in views:
            # A view over a registered frame lives as long as the connection.
            connection.execute(fixed_view(name).replace("CREATE VIEW", "CREATE TEMP VIEW"))
        return connection.sql(f"SELECT * FROM {views[-1]}").pl()  # noqa: S608 - our own names
