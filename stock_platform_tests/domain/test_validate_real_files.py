"""Real vendor files, sifted: every good row exact to the digit, every bad row named."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain import bars
from stock_platform_tests.domain.examples import at
from stock_platform_tests.shared_data import DAILY_FILES, MINUTE_FILES, SHARED

NUMBERS = ("open", "high", "low", "close", "volume")
PROVENANCE = {"provider": "file", "revision": "final", "observed_at": at("15:00")}


def rows_of(file: Path) -> pl.DataFrame:
    """Return a vendor's file as text, stamped with a provenance."""
    rows = pl.read_csv(file, infer_schema=False).with_columns(
        pl.lit(value).alias(name) for name, value in PROVENANCE.items()
    )
    if "date" in rows.columns:
        return rows.with_columns(pl.col("date").str.to_date().alias("session"))
    minute = pl.from_epoch(pl.col("ts_utc_ms").cast(pl.Int64), "ms").dt.replace_time_zone("UTC")
    return rows.with_columns(minute.alias("minute"))


@pytest.mark.parametrize("file", MINUTE_FILES, ids=lambda file: file.stem)
def test_every_real_minute_is_a_bar_with_the_digits_of_its_source(file: Path) -> None:
    raw = rows_of(file)

    sifted = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")

    assert sifted.rejected.is_empty()
    for name in NUMBERS:
        assert sifted.bars[name].to_list() == [round(Decimal(text), 6) for text in raw[name]]


@pytest.mark.parametrize("file", DAILY_FILES, ids=lambda file: file.stem)
def test_every_real_day_ends_in_the_lake_or_in_quarantine(file: Path) -> None:
    raw = rows_of(file)

    sifted = bars.validate_bars(raw, bars.DAILY_BARS, dataset="daily_bars")

    assert sifted.bars.height + sifted.rejected.height == raw.height
    assert sifted.rejected.height < raw.height / 100


def test_the_two_impossible_rows_of_spy_are_named() -> None:
    raw = rows_of(SHARED / "daily" / "SPY_2007_2017_yahoo.csv")

    rejected = bars.validate_bars(raw, bars.DAILY_BARS, dataset="daily_bars").rejected

    assert rejected["at"].dt.date().to_list() == [date(2015, 3, 5), date(2015, 3, 30)]
    assert rejected["reason"].to_list() == ["low is not the lowest"] * 2
