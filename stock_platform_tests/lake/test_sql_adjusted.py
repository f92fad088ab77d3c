"""Adjustment on read, against what Yahoo published for the same days.

Raw prices, splits and dividends are Quandl WIKI's; the adjusted ones are
Yahoo's (`../shared/data/daily`), another vendor with its own computation.
"""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import DIVIDENDS, DIVIDENDS_KEY, SPLITS, SPLITS_KEY
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform_tests.domain.examples import DAY, at, bars_of
from stock_platform_tests.shared_data import SHARED

SEEN = at("12:00")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path / "lake")


def published(name: str) -> pl.DataFrame:
    return pl.read_csv(SHARED / "daily" / name, try_parse_dates=True, infer_schema_length=None)


def keep_daily(store: FileStore, rows: pl.DataFrame) -> None:
    bars = rows.select(
        "symbol",
        pl.col("date").alias("session"),
        "open",
        "high",
        "low",
        "close",
        pl.lit(None).alias("vwap"),
        "volume",
        pl.lit(None).alias("transactions"),
        pl.lit("wiki").alias("provider"),
        pl.lit("final").alias("revision"),
        pl.lit(SEEN).alias("observed_at"),
    )
    write.publish_daily_bars(store, bars.cast(DAILY_BARS))


def keep_splits(store: FileStore, *splits: tuple[str, date, float, float]) -> None:
    rows = [(*split, "wiki", SEEN) for split in splits]
    frame = pl.DataFrame(rows, schema=SPLITS, orient="row")
    write.publish_table(store, "splits", None, frame, key=SPLITS_KEY)


def keep_dividends(store: FileStore, *paid: tuple[str, date, float], currency: str = "USD") -> None:
    rows = [(name, on, None, amount, currency, 4, "CD", "wiki", SEEN) for name, on, amount in paid]
    frame = pl.DataFrame(rows, schema=DIVIDENDS, orient="row", strict=False)
    write.publish_table(store, "dividends", None, frame, key=DIVIDENDS_KEY)


def test_a_split_rescales_the_prices_before_it_as_yahoo_does(store: FileStore) -> None:
    raw = published("AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv").filter(symbol="AAPL")
    yahoo = published("AAPL_2004_2018_splitadj_yahoo.csv").select("date", adjusted="close")
    keep_daily(store, raw)
    keep_splits(store, ("AAPL", date(2014, 6, 9), 1, 7))

    ours = query(store, "SELECT session AS date, close, split_factor FROM daily_bars_adjusted")

    both = ours.join(yahoo, on="date")
    assert both.height == raw.height
    assert (both["close"] - both["adjusted"]).abs().max() < 0.01
    assert ours["split_factor"].unique().sort().to_list() == pytest.approx([1 / 7, 1])


def test_dividends_lower_the_prices_before_them_as_yahoo_does(store: FileStore) -> None:
    raw = published("AAPL_GOOGL_YHOO_2015_2017_raw_wiki.csv").filter(symbol="AAPL")
    paid = raw.filter(pl.col("dividend") > 0).select("symbol", "date", "dividend").rows()
    yahoo = published("AAPL_2004_2018_splitadj_yahoo.csv").select(
        "date", theirs=pl.col("adj_close") / pl.col("close")
    )
    keep_daily(store, raw)
    keep_dividends(store, *paid)

    ours = query(
        store, "SELECT session AS date, adj_close / close AS ours FROM daily_bars_adjusted"
    )

    # WIKI ends before the dividend of 2017-11-10, Yahoo's file knows it and the later ones.
    last = yahoo.filter(date=date(2017, 8, 10))["theirs"].item()
    both = ours.join(yahoo, on="date").filter(pl.col("date") <= date(2017, 8, 10))
    assert len(paid) == 11
    assert (both["ours"] - both["theirs"] / last).abs().max() < 0.0002


def test_a_reverse_split_raises_prices_and_lowers_volumes(store: FileStore) -> None:
    raw = published("AIG_2008_2011_raw_wiki.csv").filter(pl.col("date").dt.year() == 2009)
    keep_daily(store, raw)
    keep_splits(store, ("AIG", date(2009, 7, 1), 20, 1))

    ours = query(
        store,
        "SELECT a.session, a.close / r.close AS price, a.volume / r.volume AS volume "
        "FROM daily_bars_adjusted a JOIN daily_bars r USING (symbol, session) ORDER BY session",
    )

    before = ours.filter(pl.col("session") < date(2009, 7, 1))
    after = ours.filter(pl.col("session") >= date(2009, 7, 1))
    assert before["price"].to_list() == pytest.approx([20] * before.height)
    assert before["volume"].to_list() == pytest.approx([0.05] * before.height)
    assert after["price"].to_list() == [1] * after.height


def test_a_split_takes_effect_with_the_extended_hours_of_its_day(store: FileStore) -> None:
    day_before = DAY - timedelta(days=1)
    keep_splits(store, ("A", DAY, 1, 2), ("A", DAY + timedelta(days=7), 1, 5), ("B", DAY, 3, 1))
    for day in (day_before, DAY):
        rows = bars_of([("A", 0), ("Z", 0)]).with_columns(minute=pl.col("minute") - (DAY - day))
        write.publish_minute_bars(store, day, rows)

    ours = query(
        store,
        "SELECT symbol, session, close, volume, split_factor "
        "FROM minute_bars_adjusted ORDER BY ALL",
    )

    assert [tuple(row) for row in ours.rows()] == [
        ("A", day_before, pytest.approx(1.1), pytest.approx(1002.5), pytest.approx(0.1)),
        ("A", DAY, pytest.approx(2.2), pytest.approx(501.25), pytest.approx(0.2)),
        ("Z", day_before, 11, 100.25, 1),
        ("Z", DAY, 11, 100.25, 1),
    ]


def test_a_dividend_on_the_day_of_a_split_is_measured_in_new_shares(store: FileStore) -> None:
    days = (date(2026, 11, 18), date(2026, 11, 19))
    rows = pl.DataFrame(
        {"symbol": "A", "date": days, "open": 0.5, "high": 200, "low": 0.1, "close": (100.0, 50.0)}
    ).with_columns(volume=pl.lit(10))
    keep_daily(store, rows)
    keep_splits(store, ("A", days[1], 1, 2))
    keep_dividends(store, ("A", days[1], 1.0))

    ours = query(
        store, "SELECT adj_close, dividend_factor FROM daily_bars_adjusted ORDER BY session"
    )

    # Yesterday's 100 are 50 in new shares; 1 dollar of them leaves 49.
    assert ours["adj_close"].to_list() == pytest.approx([49.0, 50.0])
    assert ours["dividend_factor"].to_list() == pytest.approx([0.98, 1.0])


def test_dividends_in_other_currencies_or_without_a_price_change_nothing(store: FileStore) -> None:
    rows = pl.DataFrame(
        {"symbol": ["A"], "date": [DAY], "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    )
    keep_daily(store, rows)
    keep_dividends(store, ("A", DAY, 0.5), ("A", DAY + timedelta(days=1), 0.5), currency="EUR")
    keep_dividends(store, ("A", DAY - timedelta(days=9), 0.5), ("B", DAY, 0.5))

    ours = query(store, "SELECT symbol, dividend_factor, adj_close FROM daily_bars_adjusted")

    assert ours.rows() == [("A", 1.0, 1.0)]
