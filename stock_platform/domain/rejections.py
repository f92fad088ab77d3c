"""Rows that are well formed and yet not to be kept: refused with a reason, never dropped."""

import polars as pl

from stock_platform.domain import bars

RECORD_MAX = 2000


def reject(rows: pl.DataFrame, reason: str, *, dataset: str, at: pl.Expr) -> pl.DataFrame:
    """Turn `rows` into `REJECTED` for one `reason`; `at` gives the minute each speaks of."""
    provenance = ("provider", "observed_at")
    said = rows.drop(provenance).iter_rows(named=True)
    return rows.select(
        pl.lit(dataset).alias("dataset"),
        "provider",
        pl.col("symbol").str.slice(0, 64),
        at.cast(bars.TIMESTAMP_US).alias("at"),
        pl.lit(reason).alias("reason"),
        pl.Series("record", [str(row)[:RECORD_MAX] for row in said], dtype=pl.String),
        "observed_at",
    ).cast(bars.REJECTED)


def midnight(session: pl.Expr) -> pl.Expr:
    """Return the instant by which quarantine knows a session: its midnight UTC."""
    return session.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
