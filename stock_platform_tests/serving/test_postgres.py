"""The serving store keeps what it is given, in a real Postgres and in SQLite alike."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import psycopg
import pytest

from stock_platform.domain.bars import PRICE
from stock_platform.errors import InvalidDataError, PermanentError, TransientError
from stock_platform.serving.postgres.rows import STOCK_DATA, Upserted, stock_data_rows
from stock_platform.serving.postgres.store import open_stock_data
from stock_platform.settings import PostgresSettings
from stock_platform_tests.serving.stock_rows import made_rows, upsert_stock_data
from stock_platform_tests.shared_data import SHARED

DAY = date(2026, 11, 20)


def row(symbol: str = "GOOG", **changed: object) -> pl.DataFrame:
    values = dict.fromkeys(STOCK_DATA, Decimal("1.5")) | {"date": DAY, "symbol": symbol}
    return pl.DataFrame([values | changed], schema=STOCK_DATA)


def upsert_from_another_process(url: str, path: str, seed: int) -> Upserted:
    settings = PostgresSettings(postgres_url=url, serving_sqlite=Path(path))
    return upsert_stock_data(settings, made_rows(40, 250, seed=seed))


def test_100_000_rows_twice_are_the_same_rows_once(stock_data_settings: PostgresSettings) -> None:
    rows = made_rows(400, 250)

    with open_stock_data(stock_data_settings) as store:
        first = _timed(lambda: store.upsert(rows))
        second = _timed(lambda: store.upsert(rows))
        stored = store.read()

    assert first[0] == Upserted(inserted=100_000, updated=0, unchanged=0)
    assert second[0] == Upserted(inserted=0, updated=0, unchanged=100_000)
    assert stored.equals(rows)
    assert second[1] < 2 * first[1]


def test_only_rows_that_differ_are_written(stock_data_settings: PostgresSettings) -> None:
    with open_stock_data(stock_data_settings) as store:
        store.upsert(pl.concat([row("GOOG"), row("MSFT")]))
        upserted = store.upsert(
            pl.concat([row("GOOG"), row("MSFT", rolling_avg=None), row("NVDA")])
        )
        stored = store.read()

    assert upserted == Upserted(inserted=1, updated=1, unchanged=1)
    assert stored["rolling_avg"].to_list() == [Decimal("1.5"), None, Decimal("1.5")]


def test_a_null_that_stays_null_is_no_change(stock_data_settings: PostgresSettings) -> None:
    rows = row(rolling_avg=None, daily_pct_change=None)
    upsert_stock_data(stock_data_settings, rows)

    assert upsert_stock_data(stock_data_settings, rows) == Upserted(0, 0, 1)


def test_reading_some_symbols_gives_only_theirs(stock_data_settings: PostgresSettings) -> None:
    with open_stock_data(stock_data_settings) as store:
        store.upsert(pl.concat([row("BRK.B"), row("BCPA"), row("BCpA")]))

        assert store.read(["BCpA", "BRK.B"])["symbol"].to_list() == ["BCpA", "BRK.B"]
        assert store.read([]).is_empty()


def test_no_rows_are_no_work(stock_data_settings: PostgresSettings) -> None:
    assert upsert_stock_data(stock_data_settings, row().clear()) == Upserted(0, 0, 0)


def test_a_batch_with_one_bad_row_leaves_nothing_behind(
    stock_data_settings: PostgresSettings,
) -> None:
    bad = pl.concat([made_rows(40, 250), row("ZZZ", close=None)])

    with open_stock_data(stock_data_settings) as store:
        store.upsert(row("GOOG"))
        with pytest.raises(InvalidDataError):
            store.upsert(bad)

        assert store.read().equals(row("GOOG"))


def test_every_digit_of_the_sources_text_comes_back(
    stock_data_settings: PostgresSettings,
) -> None:
    names = ["open", "high", "low", "close", "volume"]
    source = pl.concat(
        pl.read_csv(SHARED / "daily" / name, infer_schema=False).select("symbol", "date", *names)
        for name in ("AIG_2008_2011_raw_wiki.csv", "AAPL_2000_2013_raw_bokeh.csv")
    ).sort("symbol", "date")
    bars = source.select(
        "symbol", pl.col("date").str.to_date().alias("session"), pl.col(names).cast(PRICE)
    )

    with open_stock_data(stock_data_settings) as store:
        store.upsert(stock_data_rows(bars))
        stored = store.read()

    expected = [tuple(map(Decimal, texts)) for texts in source.select(names).rows()]
    assert stored.select(names).rows() == expected


def test_the_widest_numbers_are_exact(stock_data_settings: PostgresSettings) -> None:
    widest = row(volume=Decimal("99999999999.999999"), volatility=Decimal(10) ** 16)
    upsert_stock_data(stock_data_settings, widest)

    with open_stock_data(stock_data_settings) as store:
        assert store.read().equals(widest)


def test_postgres_computes_the_same_figures(postgres_url: str) -> None:
    source = pl.read_csv(SHARED / "daily" / "AIG_2008_2011_raw_wiki.csv", infer_schema=False)
    bars = source.select(
        "symbol",
        pl.col("date").str.to_date().alias("session"),
        pl.col("open", "high", "low", "close", "volume").cast(PRICE),
    )
    upsert_stock_data(PostgresSettings(postgres_url=postgres_url), stock_data_rows(bars))
    by_sql = (
        "SELECT round((high - low) / close * 100, 6), CASE WHEN count(*) OVER five = 5 "
        "THEN round(avg(close) OVER five, 6) END, round((close / lag(close) OVER days - 1) "
        "* 100, 6), volatility, rolling_avg, daily_pct_change FROM stock_data "
        "WINDOW days AS (PARTITION BY symbol ORDER BY date), "
        "five AS (days ROWS 4 PRECEDING)"
    )

    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(by_sql.encode()).fetchall()

    assert len(rows) > 700
    assert [figures[:3] for figures in rows] == [figures[3:] for figures in rows]


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)], ids=["same values", "other values"])
def test_two_processes_at_once_lose_and_double_nothing(
    stock_data_settings: PostgresSettings, seeds: tuple[int, int]
) -> None:
    where = (
        stock_data_settings.postgres_url.get_secret_value(),
        str(stock_data_settings.serving_sqlite),
    )

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        told = list(processes.map(upsert_from_another_process, *_each(where), seeds))
    with open_stock_data(stock_data_settings) as store:
        stored = store.read()

    assert sum(each.inserted for each in told) == 10_000
    assert sum(each.updated for each in told) == (10_000 if seeds[0] != seeds[1] else 0)
    assert any(stored.equals(made_rows(40, 250, seed=seed)) for seed in seeds)


def test_a_repeat_leaves_the_postgres_table_untouched(postgres_url: str) -> None:
    settings = PostgresSettings(postgres_url=postgres_url)
    written = "SELECT xmin::text, xmax::text, ctid::text FROM stock_data ORDER BY symbol, date"

    upsert_stock_data(settings, made_rows(4, 25))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = connection.execute(written.encode()).fetchall()
        upsert_stock_data(settings, made_rows(4, 25))
        after = connection.execute(written.encode()).fetchall()

    assert after == before


def test_a_server_that_is_away_is_transient_and_its_password_stays_secret() -> None:
    settings = PostgresSettings(postgres_url="postgresql://me:hunter2@127.0.0.1:1/stocks")

    with pytest.raises(TransientError) as raised:
        upsert_stock_data(settings, row())

    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/db", "hunter2"])
def test_another_kind_of_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(PermanentError, match="STOCKS_POSTGRES_URL") as raised:
        upsert_stock_data(PostgresSettings(postgres_url=url), row())

    assert "hunter2" not in str(raised.value)


def test_a_table_somebody_dropped_is_a_permanent_problem(
    stock_data_settings: PostgresSettings,
) -> None:
    with open_stock_data(stock_data_settings) as store:
        _drop_table(stock_data_settings)

        with pytest.raises(PermanentError, match=r"UndefinedTable|SQLITE_ERROR"):
            store.upsert(row())


def _drop_table(settings: PostgresSettings) -> None:
    url = settings.postgres_url.get_secret_value()
    connection = psycopg.connect(url) if url else sqlite3.connect(settings.serving_sqlite)
    connection.execute("DROP VIEW stock_data_numbers")
    connection.execute("DROP TABLE stock_data")
    connection.commit()
    connection.close()


def _each(where: tuple[str, str]) -> tuple[list[str], list[str]]:
    return [where[0]] * 2, [where[1]] * 2


def _timed(work: Callable[[], Upserted]) -> tuple[Upserted, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start
