"""Bench of SQL over the lake: a symbol's year, a minute of the market, a day's aggregate.

`python -m stock_platform_tests.bench.sql [symbols of the year's sessions]`

The year holds 1,000 symbols a session unless told otherwise (98M bars, 1.3 GB);
its last session holds 8,000. The bars of each session are the same but for
their minutes, every object is written and read as its own.
"""

import sys
import tempfile
from datetime import date

import polars as pl

from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.lake import parquet, tables, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform_tests.bench.bars import OBSERVED, SESSION, session_bars, symbols
from stock_platform_tests.bench.measured import best_of
from stock_platform_tests.bench.report import Report

SESSIONS = 252
MARKET = 8_000
BUCKET = "time_bucket(INTERVAL 30 MINUTE, minute)"
DAY = (
    "SELECT symbol, arg_min(open, minute), max(high), min(low), arg_max(close, minute), "
    "sum(volume) FROM {view} WHERE session = '{session}' GROUP BY symbol"
)


def fill_year(store: ObjectStore, grids: list[MinuteGrid], count: int) -> None:
    """Write each session but the last, of `count` symbols, and the last one of 8,000."""
    last = grids[-1]
    bars = session_bars(count, session=last.session)
    for grid in grids[:-1]:
        moved = bars.with_columns(pl.col("minute") - (last.starts_at - grid.starts_at))
        path = tables.data("minute_bars", grid.session)
        store.put_if_absent(path, parquet.encode("minute_bars", moved))
    write.publish_minute_bars(store, last.session, session_bars(MARKET, session=last.session))


def keep_splits(store: ObjectStore, names: list[str]) -> None:
    rows = [(name, date(2026, 6, 9), 1.0, 7.0, "bench", OBSERVED) for name in names[::20]]
    splits = pl.DataFrame(rows, schema=SPLITS, orient="row")
    write.publish_table(store, "splits", None, splits, key=SPLITS_KEY)


def main(count: int = 1_000) -> None:
    report = Report(f"SQL: {SESSIONS} sessions of {count:,} symbols, the last of {MARKET:,}")
    calendar = Calendar()
    sessions = calendar.sessions(date(2025, 10, 1), SESSION)[-SESSIONS:]
    # In both the year's sessions and the last, and with a split in between.
    name = symbols(count)[count // 2]
    assert name in symbols(MARKET)
    minute = calendar.grid(SESSION).minute(10)
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore.open(folder)
        fill_year(store, [calendar.grid(session) for session in sessions], count)
        keep_splits(store, symbols(count))
        asked = {
            "opening the views": "SELECT 1",
            "one symbol over a year": f"SELECT * FROM minute_bars WHERE symbol = '{name}'",
            "one symbol over a year, adjusted": (
                f"SELECT minute, close, volume FROM minute_bars_adjusted WHERE symbol = '{name}'"
            ),
            "one minute of 8,000 symbols": (
                f"SELECT * FROM minute_bars WHERE session = '{SESSION}' AND minute = '{minute}'"
            ),
            "day aggregate of 8,000 symbols": DAY.format(view="minute_bars", session=SESSION),
            "day aggregate, adjusted": DAY.format(view="minute_bars_adjusted", session=SESSION),
            "volume by half hour over 5 sessions": (
                f"SELECT {BUCKET}, sum(volume) FROM minute_bars "
                f"WHERE session >= '{sessions[-5]}' GROUP BY 1"
            ),
        }
        for title, sql in asked.items():
            assert query(store, sql).height > 0
            report.add(title, best_of(3, lambda sql=sql: query(store, sql)), "s")
    report.finish()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
