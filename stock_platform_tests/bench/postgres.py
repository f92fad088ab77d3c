"""How fast stock_data is loaded: row by row, by COPY and upsert, and once more.

    python -m stock_platform_tests.bench.postgres [--symbols 3000] [--days 1764]

The default is the history of an index like the Russell 3000 over seven years,
5.3 million rows, loaded year by year as the lake holds it. A server of its own
is started; nothing else is touched.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import psycopg

from stock_platform.serving.postgres.rows import STOCK_DATA
from stock_platform.serving.postgres.store import StockData, open_stock_data
from stock_platform.settings import PostgresSettings
from stock_platform_tests.bench.report import Report
from stock_platform_tests.serving.running import fresh_database, running_postgres
from stock_platform_tests.serving.stock_rows import made_rows

SMALL = (400, 250)
"""Symbols and days of the 100,000 rows that are upserted twice."""
ROWS_ONE_BY_ONE = 5_000
YEAR_DAYS = 252


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--symbols", type=int, default=3_000)
    options.add_argument("--days", type=int, default=1_764)
    chosen = options.parse_args()
    report = Report("stock_data: Postgres and SQLite")
    with running_postgres() as server:
        with fresh_database(server, "one_by_one") as url:
            slow = _one_by_one(report, url)
        with fresh_database(server, "twice") as url:
            _twice(report, "postgres", PostgresSettings(postgres_url=url), slow)
        with fresh_database(server, "history") as url:
            _history(report, url, symbols=chosen.symbols, days=chosen.days)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "serving.sqlite"
        _twice(report, "sqlite", PostgresSettings(serving_sqlite=file), None)
    report.finish()


def _one_by_one(report: Report, url: str) -> float:
    """Insert with one statement a row in one transaction: what COPY is compared with."""
    with open_stock_data(PostgresSettings(postgres_url=url)):
        rows = made_rows(20, ROWS_ONE_BY_ONE // 20).rows()
    marks = ", ".join(["%s"] * len(STOCK_DATA))
    values = ", ".join(f"excluded.{name}" for name in STOCK_DATA)
    insert = (
        f"INSERT INTO stock_data ({', '.join(STOCK_DATA)}) VALUES ({marks}) "
        f"ON CONFLICT (symbol, date) DO UPDATE SET ({', '.join(STOCK_DATA)}) = ({values})"
    ).encode()
    with psycopg.connect(url) as connection:
        took = _seconds(lambda: [connection.execute(insert, row) for row in rows])
    rate = len(rows) / took
    report.add("postgres_one_by_one", rate, "rows/s")
    return rate


def _twice(report: Report, name: str, settings: PostgresSettings, slow: float | None) -> None:
    rows = made_rows(*SMALL)
    with open_stock_data(settings) as store:
        first = _seconds(lambda: store.upsert(rows))
        second = _seconds(lambda: store.upsert(rows))
        same = store.read().equals(rows)
    report.add(f"{name}_100k_first", first, "s")
    report.add(f"{name}_100k_again", second, "s")
    report.add(f"{name}_again_by_first", second / first, "x", "< 2")
    report.add(f"{name}_same_content", int(same), "yes=1", "> 0")
    if slow:
        report.add(f"{name}_copy_by_one_by_one", rows.height / first / slow, "x", "> 3")


def _history(report: Report, url: str, *, symbols: int, days: int) -> None:
    with open_stock_data(PostgresSettings(postgres_url=url)) as store:
        loads = [_load(store, year) for year in _years(symbols, days)]
        rows, took = sum(each[0] for each in loads), sum(each[1] for each in loads)
        report.add("postgres_history_rows", rows, "rows")
        report.add("postgres_history_load", took, "s")
        report.add("postgres_history_rate", rows / took, "rows/s", "> 20000")
        session = made_rows(symbols, 1).with_columns(pl.col("date").dt.offset_by(f"{days}d"))
        report.add("postgres_next_session", _seconds(lambda: store.upsert(session)), "s")
        one = session["symbol"][symbols // 2]
        report.add("postgres_read_one_symbol", _seconds(lambda: store.read([one])), "s")


def _load(store: StockData, year: pl.DataFrame) -> tuple[int, float]:
    return year.height, _seconds(lambda: store.upsert(year))


def _years(symbols: int, days: int) -> Iterator[pl.DataFrame]:
    """Return rows of all symbols a year at a time, as one publication would bring them."""
    for start in range(0, days, YEAR_DAYS):
        year = made_rows(symbols, min(YEAR_DAYS, days - start), seed=start)
        yield year.with_columns(pl.col("date").dt.offset_by(f"{start}d"))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
