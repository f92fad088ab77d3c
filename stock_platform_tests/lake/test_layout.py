"""Paths: one per partition, read back, and nothing that leaves the lake."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.lake import parquet, tables

DAY = date(2026, 11, 19)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_the_folder_of_a_session_is_read_back(day: date) -> None:
    name = tables.folder("minute_bars", day).split("/")[1]

    assert (name, tables.partition_of(name)) == (f"session={day}", day)


def test_every_table_has_its_own_way_of_being_cut_up() -> None:
    assert tables.data("minute_bars", DAY) == "minute_bars/session=2026-11-19/data.parquet"
    assert tables.data("daily_bars", 2026) == "daily_bars/year=2026/data.parquet"
    assert tables.data("splits", None) == "splits/data.parquet"
    assert tables.folder("quarantine", DAY) == "quarantine/on=2026-11-19"
    assert tables.partition_of("year=2026") == 2026


@pytest.mark.parametrize("name", ["session=today", "year=", "data.parquet", "symbol=A", ""])
def test_what_is_no_partition_is_malformed(name: str) -> None:
    with pytest.raises(InvalidDataError):
        tables.partition_of(name)


@pytest.mark.parametrize("table", ["../out", "Minute Bars", "", "a/b"])
def test_a_table_with_an_impossible_name_is_refused(table: str) -> None:
    with pytest.raises(PermanentError, match="lower case"):
        tables.data(table, DAY)


@pytest.mark.parametrize("columns", [None, ["symbol", "minute"]], ids=["all", "two"])
def test_an_object_without_a_column_is_named(columns: list[str] | None) -> None:
    path = tables.data("minute_bars", date(2026, 11, 19))
    data = parquet.encode("minute_bars", pl.DataFrame({"symbol": ["A"]}))

    with pytest.raises(PermanentError, match=rf"{path} has the wrong columns: .*minute is absent"):
        parquet.decode(path, data, MINUTE_BARS, columns=columns)


def test_an_object_with_a_column_of_its_own_is_named() -> None:
    path = tables.data("raw_quotes", date(2026, 11, 19))
    data = parquet.encode("raw_quotes", pl.DataFrame(schema={**RAW_QUOTES, "colour": pl.String()}))

    with pytest.raises(PermanentError, match="colour is String, expected absent"):
        parquet.decode(path, data, RAW_QUOTES)
