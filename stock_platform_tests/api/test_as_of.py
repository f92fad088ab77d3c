"""A lake asked as of an instant answers with what it knew then, splits included."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.domain.reference import DIVIDENDS, SPLITS
from stock_platform.healing.action_register import register_of
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.tables import TABLES
from stock_platform_tests.domain.examples import DAY, at, bars_of

LATER = datetime(2026, 12, 1, tzinfo=UTC)
BEFORE = LATER - timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> sp.Lake:
    """Return a lake whose one bar was corrected, and a split told, at LATER."""
    store = FileStore.open(str(tmp_path))
    bar = bars_of([("A", 0)])
    day = bar.with_columns(session=pl.lit(DAY)).select(list(TABLES["daily_bars"].schema))
    change = [pl.lit(LATER).alias("observed_at"), pl.lit("final").alias("revision")]
    change.append((pl.col("volume") + 1).alias("volume"))
    for rows in (bar, bar.with_columns(change).cast(bar.schema)):
        write.publish_minute_bars(store, DAY, rows)
    for rows in (day, day.with_columns(change).cast(day.schema)):
        write.publish_daily_bars(store, rows)
    split = [("A", date(2026, 11, 30), 1.0, 2.0, "massive", LATER)]
    register = register_of(
        pl.DataFrame(split, schema=SPLITS, orient="row"), pl.DataFrame(schema=DIVIDENDS)
    )
    key = TABLES["corporate_actions"].key
    write.publish_table(store, "corporate_actions", None, register, key=key)
    write.publish_table(
        store,
        "splits",
        None,
        pl.DataFrame(split, schema=SPLITS, orient="row"),
        key=TABLES["splits"].key,
    )
    return sp.open_lake(tmp_path)


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("table", ["minute_bars", "daily_bars"])
def test_what_came_later_is_not_known(lake: sp.Lake, table: str, *, adjusted: bool) -> None:
    rows = getattr(lake, table)(DAY, adjusted=adjusted, as_of=BEFORE)

    assert rows.select(pl.col("close", "volume").cast(pl.Float64)).rows() == [(11.0, 100.25)]


@pytest.mark.parametrize("table", ["minute_bars", "daily_bars"])
def test_as_of_now_is_the_present(lake: sp.Lake, table: str) -> None:
    read = getattr(lake, table)

    for adjusted in (False, True):
        assert read(DAY, adjusted=adjusted, as_of=LATER).equals(read(DAY, adjusted=adjusted))
    assert read(DAY, adjusted=True)["close"].to_list() == [5.5]


def test_lazily_too(lake: sp.Lake) -> None:
    rows = lake.minute_bars(DAY, as_of=BEFORE.isoformat(), lazy=True).select("volume").collect()

    assert rows["volume"].cast(pl.Float64).to_list() == [100.25]


def test_before_the_first_bar_there_is_nothing(lake: sp.Lake) -> None:
    assert lake.minute_bars(DAY, as_of=at("14:59")).height == 0


@pytest.mark.parametrize("wrong", ["2026-11-20", "yesterday", datetime(2026, 11, 20), 5])  # noqa: DTZ001
def test_an_instant_needs_its_time_zone(lake: sp.Lake, wrong: str) -> None:
    with pytest.raises(sp.InvalidDataError, match="an instant is a datetime with its offset"):
        lake.daily_bars(DAY, as_of=wrong)
