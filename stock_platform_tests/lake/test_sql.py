"""Views over every table: empty ones have their columns, the best revision is seen once."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.rejections import REJECTED
from stock_platform.lake import append_log, read, stream_parts, tables, write
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import connect, query
from stock_platform.lake.stream_parts import compact
from stock_platform_tests.domain.examples import DAY, GRID, at, bars_of
from stock_platform_tests.lake.workers import bars


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path / "lake's folder")


@pytest.mark.parametrize(
    "view",
    [
        *tables.TABLES,
        "minute_bars_adjusted",
        "daily_bars_adjusted",
        "split_factors",
        "dividend_factors",
    ],
)
def test_a_table_that_is_not_there_is_an_empty_view(store: FileStore, view: str) -> None:
    answer = query(store, f"SELECT * FROM {view}")

    known = tables.TABLES.get(view)
    assert answer.height == 0
    assert not known or set(known.schema) <= set(answer.columns)


def test_an_empty_view_and_a_full_one_have_the_same_columns(store: FileStore) -> None:
    empty = query(store, "SELECT * FROM minute_bars").schema

    write.publish_minute_bars(store, DAY, bars_of([("A", 0)]))

    assert query(store, "SELECT * FROM minute_bars").schema == empty


def test_bars_are_exact_and_know_their_session(store: FileStore) -> None:
    rows = bars_of([("A", 0), ("NULL", 0)])
    write.publish_minute_bars(store, DAY, rows)

    answer = query(store, "SELECT * FROM minute_bars ORDER BY symbol, minute")

    assert answer.drop("session").cast(MINUTE_BARS).equals(rows)
    assert answer["session"].to_list() == [DAY, DAY]
    assert answer["minute"].dtype == pl.Datetime("us", "UTC")


def test_live_parts_and_their_base_are_one_table(store: FileStore) -> None:
    write.publish_minute_bars(store, DAY, bars(3, range(2), "rest", at=timedelta(hours=1)))
    write.publish_minute_bars(
        store, date(2026, 11, 18), _moved(bars_of([("A", 0)]), date(2026, 11, 18))
    )
    stream_parts.write_live_minute(
        store, DAY, "0931", "w", bars(3, range(1, 3), "live", at=timedelta(days=1))
    )
    sql = "SELECT * EXCLUDE session FROM minute_bars WHERE session = '2026-11-19' ORDER BY ALL"

    answer = query(store, sql)

    assert answer.cast(MINUTE_BARS).equals(read.minute_bars(store, DAY))
    assert query(store, "SELECT count(*) AS n FROM minute_bars")["n"].item() == 10
    compact(store, DAY)
    assert query(store, sql).equals(answer)


def test_of_equal_claims_sql_keeps_the_row_that_merging_keeps(store: FileStore) -> None:
    one = bars(1, range(1), "live", at=timedelta())
    other = one.with_columns(volume=pl.lit(7).cast(MINUTE_BARS["volume"]), vwap=pl.lit(None))
    stream_parts.write_live_minute(store, DAY, "0930", "w", one)
    stream_parts.write_live_minute(store, DAY, "0930", "w", other.cast(MINUTE_BARS))

    answer = query(store, "SELECT * EXCLUDE session FROM minute_bars")

    assert answer.cast(MINUTE_BARS).equals(read.minute_bars(store, DAY))


def test_coverage_counts_its_bits(store: FileStore) -> None:
    def change(_: SessionCoverage | None) -> SessionCoverage:
        coverage = SessionCoverage.blank(GRID, ["A", "B"])
        coverage.set_observed(bars_of([("A", 0), ("A", 10), ("B", 5)]))
        return coverage

    coverage_table.update(store, GRID, change)

    answer = query(
        store,
        "SELECT symbol, observed, bit_count(observed_bits::BIT) AS counted, "
        "get_bit(observed_bits::BIT, 10) AS has_0940, missing "
        "FROM coverage WHERE session = '2026-11-19' ORDER BY symbol",
    )
    assert answer.rows() == [("A", 2, 2, 1, 388), ("B", 1, 1, 0, 389)]


def test_a_rejected_row_and_an_answer_are_seen_once(store: FileStore) -> None:
    row = ("minute_bars", "massive", "A", None, "why", "{}", at("15:00"))
    one = pl.DataFrame([row], schema=REJECTED, orient="row")
    append_log.record_rejected(store, one)
    append_log.record_rejected(
        store, one.with_columns(observed_at=pl.lit(at("15:00", date(2026, 11, 20))))
    )

    answer = query(store, "SELECT symbol, reason, observed_at FROM quarantine")

    assert answer.rows() == [("A", "why", at("15:00"))]


def test_a_table_of_an_extension_is_a_view_too(store: FileStore) -> None:
    figures = pl.DataFrame({"symbol": ["A"], "rsi": [51.5]})
    write.publish_table(store, "indicators_minute", DAY, figures, key=["symbol"])
    grown = figures.with_columns(sma=pl.lit(2.5))
    write.publish_table(store, "indicators_minute", date(2026, 11, 20), grown, key=["symbol"])

    answer = query(
        store, "SELECT symbol, rsi, sma, session FROM indicators_minute ORDER BY session"
    )

    assert answer.rows() == [("A", 51.5, None, DAY), ("A", 51.5, 2.5, date(2026, 11, 20))]


def test_a_yearly_table_keeps_its_own_session_column(store: FileStore) -> None:
    daily = bars_of([("A", 0)]).with_columns(session=pl.lit(DAY)).drop("minute")
    write.publish_daily_bars(
        store, daily.select("symbol", "session", pl.exclude("symbol", "session"))
    )
    write.publish_table(
        store, "indicators_daily", 2026, daily.select("symbol", "session", rsi=50.0), key=["symbol"]
    )

    joined = "SELECT close, rsi FROM daily_bars JOIN indicators_daily USING (symbol, session)"

    assert query(store, joined).rows() == [(Decimal("11.000000"), 50.0)]


def test_only_the_asked_sessions_object_is_opened(store: FileStore) -> None:
    write.publish_minute_bars(store, DAY, bars_of([("A", 0)]))
    store.put_if_absent("minute_bars/session=2026-11-20/data.parquet", b"no parquet at all")

    answer = query(store, "SELECT count(*) AS n FROM minute_bars WHERE session = '2026-11-19'")

    assert answer["n"].item() == 1


def test_a_connection_shows_the_views_to_people(store: FileStore) -> None:
    with connect(store) as connection:
        names = {name for (name,) in connection.sql("SHOW TABLES").fetchall()}

    assert {"minute_bars", "minute_bars_adjusted", "coverage", "splits"} <= names


def _moved(rows: pl.DataFrame, day: date) -> pl.DataFrame:
    return rows.with_columns(minute=pl.col("minute") - (DAY - day))
