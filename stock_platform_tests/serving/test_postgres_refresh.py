"""stock_data follows the lake: sessions one by one, backfilled, healed, or all at once."""

from collections.abc import Generator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import SPLITS
from stock_platform.domain.revision import Revision
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.write import publish_daily_bars, publish_table
from stock_platform.serving.postgres.refresh import refresh_stock_data
from stock_platform.serving.postgres.rows import Upserted
from stock_platform.serving.postgres.store import StockData, open_stock_data
from stock_platform.settings import PostgresSettings
from stock_platform_tests.shared_data import SHARED

OBSERVED = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
FIRST, LAST = date(2008, 1, 2), date(2011, 12, 31)


def real_bars() -> pl.DataFrame:
    source = pl.read_csv(SHARED / "daily" / "AIG_2008_2011_raw_wiki.csv", infer_schema=False)
    return source.select(
        "symbol",
        pl.col("date").alias("session").str.to_date(),
        *("open", "high", "low", "close", "volume"),
        pl.lit(None).alias("vwap"),
        pl.lit(None).alias("transactions"),
        pl.lit("massive").alias("provider"),
        pl.lit(Revision.FINAL.value).alias("revision"),
        pl.lit(OBSERVED).alias("observed_at"),
    ).cast(DAILY_BARS)


@pytest.fixture
def lake(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path / "lake")


@pytest.fixture
def stock_data(tmp_path: Path) -> Generator[StockData]:
    with open_stock_data(PostgresSettings(serving_sqlite=tmp_path / "s.sqlite")) as store:
        yield store


@pytest.fixture
def other(tmp_path: Path) -> Generator[StockData]:
    with open_stock_data(PostgresSettings(serving_sqlite=tmp_path / "o.sqlite")) as store:
        yield store


def test_any_ranges_in_any_order_give_what_one_load_gives(
    lake: FileStore, stock_data: StockData, other: StockData
) -> None:
    publish_daily_bars(lake, real_bars())
    ends = [FIRST, date(2008, 3, 7), date(2009, 1, 2), date(2009, 12, 31), LAST]

    refresh_stock_data(lake, stock_data, FIRST, LAST)
    for first, last in reversed(list(pairwise(ends))):
        refresh_stock_data(lake, other, first, last)

    assert stock_data.read().height == real_bars().height
    assert other.read().equals(stock_data.read())


def test_a_healed_session_corrects_the_four_after_it(
    lake: FileStore, stock_data: StockData, other: StockData
) -> None:
    bars = real_bars()
    hole = bars["session"][100]
    publish_daily_bars(lake, bars.filter(pl.col("session") != hole))
    refresh_stock_data(lake, stock_data, FIRST, LAST)

    publish_daily_bars(lake, bars)
    healed = refresh_stock_data(lake, stock_data, hole, hole)
    refresh_stock_data(lake, other, FIRST, LAST)

    assert healed == Upserted(inserted=1, updated=4, unchanged=0)
    assert stock_data.read().equals(other.read())


def test_a_repeat_writes_nothing(lake: FileStore, stock_data: StockData) -> None:
    publish_daily_bars(lake, real_bars())
    session = date(2008, 3, 7)

    refresh_stock_data(lake, stock_data, session, session)

    assert refresh_stock_data(lake, stock_data, session, session) == Upserted(0, 0, 5)


def test_the_lakes_splits_are_counted_in(lake: FileStore, stock_data: StockData) -> None:
    # AIG's reverse split, 20 old shares for one new, took effect on 2009-07-01.
    day = date(2009, 7, 1)
    split = pl.DataFrame([("AIG", day, 20.0, 1.0, "massive", OBSERVED)], SPLITS, orient="row")
    publish_daily_bars(lake, real_bars())

    refresh_stock_data(lake, stock_data, day, day)
    raw = stock_data.read().row(0, named=True)["daily_pct_change"]
    publish_table(lake, "splits", None, split, key=("symbol", "executed_on"))
    refresh_stock_data(lake, stock_data, day, day)
    adjusted = stock_data.read().row(0, named=True)["daily_pct_change"]

    assert raw > Decimal(1000)
    assert abs(adjusted) < Decimal(30)


def test_an_empty_lake_is_no_work(lake: FileStore, stock_data: StockData) -> None:
    today = OBSERVED.date()

    assert refresh_stock_data(lake, stock_data, today - timedelta(days=7), today) == Upserted(
        0, 0, 0
    )
