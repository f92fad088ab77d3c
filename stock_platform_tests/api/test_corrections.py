"""The corrections feed: old and new, why, and a cursor that skips and repeats nothing."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.claims import retractions
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.tables import TABLES
from stock_platform_tests.domain.examples import DAY, at, bars_of

BAR = bars_of([("A", 0)])


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    store = FileStore.open(str(tmp_path))
    write.publish_minute_bars(store, DAY, bars_of([("A", 0), ("B", 0)]))
    return store


def changed(close: int, hours: int, rows: pl.DataFrame = BAR) -> pl.DataFrame:
    moved = pl.col("observed_at") + timedelta(hours=hours)
    return rows.with_columns(
        moved, low=pl.lit(Decimal(1)), close=pl.lit(Decimal(close)), revision=pl.lit("final")
    ).cast(rows.schema)


def take_back(store: FileStore, hours: int) -> None:
    when = at("15:00") + timedelta(hours=hours)
    gone = retractions(MINUTE_BARS, BAR, provider="massive", revision="final", at=when)
    write.publish_minute_bars(store, DAY, BAR.clear(), retracted=gone)


def changes(news: sp.Corrections) -> list[tuple[object, ...]]:
    closes = pl.col("old_close", "new_close").cast(pl.Float64)
    return news.rows.select("table", "symbol", "reason", closes).rows()


def test_each_change_is_listed_once_with_old_and_new(store: FileStore, tmp_path: Path) -> None:
    lake = sp.open_lake(tmp_path)
    first = lake.corrections()
    write.publish_minute_bars(store, DAY, changed(10, 1))
    second = lake.corrections(since=first.cursor)
    take_back(store, 2)
    third = lake.corrections(since=second.cursor)
    write.publish_minute_bars(store, DAY, changed(9, 3))
    fourth = lake.corrections(since=third.cursor)

    assert changes(first) == []
    assert changes(second) == [("minute_bars", "A", "superseded", 11.0, 10.0)]
    assert changes(third) == [("minute_bars", "A", "retracted", 10.0, None)]
    assert changes(fourth) == [("minute_bars", "A", "restored", None, 9.0)]
    assert changes(lake.corrections(since=fourth.cursor)) == []
    assert len(changes(lake.corrections())) == 3


def test_what_is_only_confirmed_is_no_correction(store: FileStore, tmp_path: Path) -> None:
    moved = pl.col("observed_at") + timedelta(hours=1)
    write.publish_minute_bars(
        store, DAY, BAR.with_columns(moved, revision=pl.lit("final")).cast(BAR.schema)
    )

    assert changes(sp.open_lake(tmp_path).corrections()) == []


def test_daily_bars_are_listed_with_their_session(store: FileStore, tmp_path: Path) -> None:
    day = BAR.with_columns(session=pl.lit(DAY)).select(list(TABLES["daily_bars"].schema))
    write.publish_daily_bars(store, day)
    write.publish_daily_bars(store, changed(10, 1, day))

    news = sp.open_lake(tmp_path).corrections()

    assert news.rows.select("table", "session", "minute", "corrected_at").rows() == [
        ("daily_bars", DAY, None, at("16:00"))
    ]


@pytest.mark.parametrize("text", ["x", "[1]", '{"minute_bars": 3}'])
def test_another_text_is_no_cursor(tmp_path: Path, text: str) -> None:
    with pytest.raises(sp.InvalidDataError, match="not a cursor"):
        sp.open_lake(tmp_path).corrections(since=text)
