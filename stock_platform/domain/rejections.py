"""Rows that are not to be kept, each with its reason: one table, one builder."""

import polars as pl

from stock_platform.domain.columns import TIMESTAMP_US

REJECTED = pl.Schema(
    {
        "dataset": pl.String(),
        "provider": pl.String(),
        "symbol": pl.String(),
        "at": TIMESTAMP_US,
        "reason": pl.String(),
        "record": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""Quarantine: `at` is the minute of the row (a session's midnight UTC for daily rows, null
where it was unreadable), `record` is the refused row as text, as it came (cut at 2,000
characters)."""

RECORD_MAX = 2000
SYMBOL_MAX = 64


def reject(
    rows: pl.DataFrame, reason: str | pl.Series, *, dataset: str, at: pl.Expr
) -> pl.DataFrame:
    """Return `rows` as a frame of `REJECTED`, for one reason or one reason per row.

    `rows` has provider, symbol and observed_at; `at` is the minute of each. Every column
    but provider and observed_at is kept in `record`:

        reject(rows, "high is below low", dataset="raw_quotes", at=pl.col("minute"))
    """
    record = rows.drop("provider", "observed_at").iter_rows(named=True)
    reasons = [reason] * rows.height if isinstance(reason, str) else reason
    return rows.select(
        pl.lit(dataset).alias("dataset"),
        pl.col("provider").cast(pl.String),
        pl.col("symbol").cast(pl.String).str.slice(0, SYMBOL_MAX),
        at.cast(TIMESTAMP_US).alias("at"),
        pl.Series("reason", reasons, dtype=pl.String),
        pl.Series("record", [str(row)[:RECORD_MAX] for row in record], dtype=pl.String),
        pl.col("observed_at").cast(TIMESTAMP_US),
    ).cast(REJECTED)


def midnight(session: pl.Expr) -> pl.Expr:
    """Return the instant at which a rejected daily row is kept: its session's midnight UTC."""
    return session.cast(pl.Datetime("us"), strict=False).dt.replace_time_zone("UTC")
