"""Daily bars by year, quotes, and tables of any key."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.bars import DAILY_BARS, TIMESTAMP_US
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.errors import PermanentError
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform_tests.domain.examples import DAY, at, bars_of


def daily(*sessions: date) -> pl.DataFrame:
    one = bars_of([("A", 0)]).drop("minute")
    return pl.concat(
        one.with_columns(session=pl.lit(session)).select(list(DAILY_BARS)) for session in sessions
    )


def split(to: float, observed_at: datetime) -> pl.DataFrame:
    row = ("A", date(2026, 6, 9), 1.0, to, "massive", observed_at)
    return pl.DataFrame([row], schema=SPLITS, orient="row")


def quote(price: str, observed_at: datetime) -> pl.DataFrame:
    row = {"symbol": "A", "minute": at("14:30"), "price": Decimal(price), "provider": "finnhub"}
    return pl.DataFrame([{**row, "observed_at": observed_at}], schema=RAW_QUOTES)


def test_daily_bars_are_kept_by_year(store: ObjectStore) -> None:
    days = (date(2025, 12, 31), date(2026, 1, 2), date(2026, 1, 5))

    published = write.publish_daily_bars(store, daily(*days))

    assert [(one.partition, one.rows) for one in published] == [(2025, 1), (2026, 2)]
    assert read.daily_bars(store, 2025, 2026)["session"].to_list() == list(days)
    assert read.years_present(store, "daily_bars") == [2025, 2026]


def test_publishing_a_day_again_leaves_the_other_years_alone(disk: ObjectStore) -> None:
    write.publish_daily_bars(disk, daily(date(2025, 12, 31), date(2026, 1, 2)))

    [published] = write.publish_daily_bars(disk, daily(date(2026, 1, 2)))

    assert (published.partition, published.written) == (2026, False)


def test_a_daily_bar_without_a_session_is_refused(disk: ObjectStore) -> None:
    rows = daily(DAY).with_columns(session=pl.lit(None, pl.Date))

    with pytest.raises(PermanentError, match="no session"):
        write.publish_daily_bars(disk, rows)


def test_asking_for_a_quote_twice_keeps_the_first(store: ObjectStore) -> None:
    write.publish_quotes(store, DAY, quote("10", at("14:30:01")))

    again = write.publish_quotes(store, DAY, quote("11", at("14:30:09")))

    assert not again.written
    assert read.raw_quotes(store, DAY)["price"].to_list() == [Decimal(10)]


def test_a_quote_of_another_session_is_refused(disk: ObjectStore) -> None:
    with pytest.raises(PermanentError, match="do not belong to session"):
        write.publish_quotes(disk, DAY + timedelta(days=1), quote("10", at("14:30:01")))


def test_of_one_key_the_last_observation_wins_in_any_order(store: ObjectStore) -> None:
    write.publish_table(store, "splits", None, split(7.0, at("15:00")), key=SPLITS_KEY)
    write.publish_table(store, "splits", None, split(3.0, at("12:00")), key=SPLITS_KEY)

    assert read.table(store, "splits", None)["split_to"].to_list() == [7.0]


def test_a_replacement_drops_the_rows_it_does_not_hold(disk: ObjectStore) -> None:
    first = pl.DataFrame({"symbol": ["A", "B"], "live": [1, 2]})
    write.publish_table(disk, "some_figures", DAY, first, key=["symbol"])

    published = write.publish_table(
        disk, "some_figures", DAY, first.head(1), key=["symbol"], mode="replace"
    )

    assert (published.rows, published.written) == (1, True)
    assert read.table(disk, "some_figures", DAY).equals(first.head(1))


ROWS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3), st.integers(0, 9)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=ROWS, incoming=ROWS, mode=st.sampled_from(["merge", "replace"]))
def test_rows_in_any_order_end_in_order_the_last_of_each_key(
    tmp_path: Path, held: list, incoming: list, mode: Literal["merge", "replace"]
) -> None:
    disk = FileStore.open(mkdtemp(dir=tmp_path))
    schema = {"symbol": pl.String, "slot": pl.Int64, "x": pl.Int64}
    frames = [pl.DataFrame(rows, schema, orient="row") for rows in (held, incoming)]

    for frame in frames:
        write.publish_table(disk, "figures", DAY, frame, key=["symbol", "slot"], mode=mode)

    last = {(symbol, slot): x for symbol, slot, x in (held if mode == "merge" else []) + incoming}
    stored = read.table(disk, "figures", DAY)
    assert stored.rows() == [(*key, last[key]) for key in sorted(last)]


def test_a_table_may_grow_a_column(disk: ObjectStore) -> None:
    write.publish_table(
        disk, "figures", 2026, pl.DataFrame({"symbol": ["A"], "x": [1]}), key=["symbol"]
    )
    grown = pl.DataFrame({"symbol": ["B"], "x": [2], "y": [0.5]})

    write.publish_table(disk, "figures", 2026, grown, key=["symbol"])

    assert read.table(disk, "figures", 2026).rows() == [("A", 1, None), ("B", 2, 0.5)]


def test_a_column_of_another_type_is_refused_by_name(disk: ObjectStore) -> None:
    write.publish_table(
        disk, "figures", 2026, pl.DataFrame({"symbol": ["A"], "x": [1]}), key=["symbol"]
    )

    with pytest.raises(PermanentError, match="x is String, stored as Int64"):
        write.publish_table(
            disk, "figures", 2026, pl.DataFrame({"symbol": ["A"], "x": ["1"]}), key=["symbol"]
        )


def test_a_row_without_its_key_is_refused(disk: ObjectStore) -> None:
    nameless = split(7.0, at("15:00")).with_columns(symbol=pl.lit(None, pl.String))

    with pytest.raises(PermanentError, match="no symbol or executed_on"):
        write.publish_table(disk, "splits", None, nameless, key=SPLITS_KEY)


def test_a_known_table_is_not_cut_up_another_way(disk: ObjectStore) -> None:
    with pytest.raises(PermanentError, match="splits is kept by nothing"):
        write.publish_table(disk, "splits", DAY, split(7.0, at("15:00")), key=SPLITS_KEY)


def test_a_table_that_is_not_there_has_its_columns_and_no_rows(disk: ObjectStore) -> None:
    found = read.table(disk, "splits", None)

    assert (found.height, found.schema) == (0, SPLITS)
    assert read.table(disk, "unheard_of", None).is_empty()
    assert found.schema["observed_at"] == TIMESTAMP_US


def test_sessions_present_are_those_with_an_object(store: ObjectStore) -> None:
    write.publish_minute_bars(store, DAY, bars_of([("A", 0)]))

    assert read.sessions_present(store, "minute_bars") == {DAY}
    assert read.sessions_present(store, "raw_quotes") == set()
