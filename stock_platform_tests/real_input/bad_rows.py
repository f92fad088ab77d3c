"""Defects that a vendor really published, as daily bars, splits and dividends of ours."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.reference import DIVIDENDS, SPLITS
from stock_platform_tests.shared_data import SHARED

OBSERVED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
_NAMES = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
    "Dividends": "amount",
    "Stock Splits": "ratio",
}
_PROVENANCE = {"provider": "yahoo", "revision": "final", "observed_at": OBSERVED_AT}


@dataclass(frozen=True)
class Published:
    """One file of bad_data, read as its vendor published it."""

    rows: pl.DataFrame

    @property
    def sifted(self) -> bars.Validated:
        return bars.validate_bars(self.rows, bars.DAILY_BARS, dataset="daily_bars")

    @property
    def days(self) -> pl.DataFrame:
        return self.sifted.bars

    @property
    def splits(self) -> pl.DataFrame:
        found = self.rows.filter(pl.col("ratio").cast(pl.Float64) > 0)
        return found.select(
            "symbol",
            pl.col("session").alias("executed_on"),
            pl.lit(1.0).alias("split_from"),
            pl.col("ratio").alias("split_to"),
            "provider",
            "observed_at",
        ).cast(SPLITS)

    @property
    def dividends(self) -> pl.DataFrame:
        found = self.rows.filter(pl.col("amount").cast(pl.Float64) > 0)
        return found.select(
            "symbol",
            pl.col("session").alias("ex_on"),
            pl.lit(None).alias("paid_on"),
            "amount",
            pl.lit(None).alias("currency"),
            pl.lit(None).alias("frequency"),
            pl.lit("CD").alias("kind"),
            "provider",
            "observed_at",
        ).cast(DIVIDENDS)


def published(name: str) -> Published:
    """Read a file of bad_data; times of its exchange become sessions, text stays text."""
    text = pl.read_csv(SHARED / "bad_data" / f"{name}.csv", infer_schema=False)
    time = text.columns[0]
    symbol = name.partition("-1d-")[0].partition("-15m-")[0].replace("-", ".")
    rows = text.rename(_NAMES).with_columns(
        pl.col(time).str.slice(0, 10).str.to_date().alias("session"),
        pl.col(time).str.to_datetime(time_zone="UTC").alias("minute"),
        pl.lit(symbol).alias("symbol"),
        *(pl.lit(value).alias(column) for column, value in _PROVENANCE.items()),
    )
    return Published(rows)
