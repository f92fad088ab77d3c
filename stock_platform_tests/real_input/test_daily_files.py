"""Recorded days: vendors' holes are found and filled from a second vendor, bad rows are named."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import PRICE
from stock_platform.domain.reference import SYMBOLS, SYMBOLS_KEY
from stock_platform.lake import read, write
from stock_platform.pipelines.daily_bars import RETRY_AFTER_S, DailyBarIngest, IngestResult
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.lake.quarantined import read_quarantine
from stock_platform_tests.real_input.stage import VALUES, Clock, Platform, Vendor, asked_of
from stock_platform_tests.shared_data import DAILY_FILES, SHARED

DAILY = SHARED / "daily"
WIKI = DAILY / "AAPL_GOOGL_YHOO_2015_2017_raw_wiki.csv"
YAHOO = DAILY / "AAPL_2004_2018_splitadj_yahoo.csv"
"""Adjusted for splits up to 2018 only, so that its prices of 2017 are as traded."""
SPY = DAILY / "SPY_2007_2017_yahoo.csv"
FIRST, LAST = date(2015, 1, 2), date(2017, 12, 29)
DELISTED = date(2017, 6, 17)
"""YHOO traded for the last time on the day before."""
HOLES = [
    ("AAPL", date(2017, 8, 7)),
    ("AAPL", date(2017, 11, 8)),
    ("GOOGL", date(2017, 11, 8)),
]
IMPOSSIBLE = [date(2015, 3, 5), date(2015, 3, 30)]


@pytest.fixture(scope="module")
def wiki() -> Iterator[Simulator]:
    with running({"market": {"replay": {"daily": [str(WIKI)]}}}) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def yahoo() -> Iterator[Simulator]:
    with running({"market": {"replay": {"daily": [str(YAHOO)]}}}) as simulator:
        yield simulator


def rows_of(file: Path) -> pl.DataFrame:
    """Return a daily CSV digit for digit, in the types of the lake."""
    text = pl.read_csv(file, infer_schema=False)
    values = [pl.col(name).cast(PRICE) for name in VALUES]
    return text.select("symbol", pl.col("date").str.to_date().alias("session"), *values).sort(
        "symbol", "session"
    )


def fill(platform: Platform, first: date = FIRST, last: date = LAST) -> IngestResult:
    with platform.providers() as providers:
        fill = DailyBarIngest(
            context=platform.lake_context, sources=providers.daily, clock=platform.clock
        )
        return fill.fill(platform.lake_context.calendar.sessions(first, last))


def held(platform: Platform) -> pl.DataFrame:
    return read.daily_bars(platform.lake_context.store, FIRST.year, LAST.year)


def said(platform: Platform) -> list[tuple[str, date, str, str]]:
    """Give (symbol, session, provider, outcome) of every day somebody did not have."""
    years = range(FIRST.year, LAST.year + 1)
    rows = pl.concat(read.table(platform.lake_context.store, "daily_answers", n) for n in years)
    return list(rows.select("symbol", "session", "provider", "outcome").sort(pl.all()).iter_rows())


def expecting(folder: Path, vendor: Vendor) -> Platform:
    """Return an empty lake that knows when YHOO was delisted."""
    platform = Platform(folder, vendor, ("AAPL", "GOOGL", "YHOO"), extended=False)
    listed = pl.DataFrame(
        {
            "symbol": platform.symbols,
            "delisted_on": [None, None, DELISTED],
            "provider": ["massive"] * 3,
            "as_of": [FIRST] * 3,
        }
    )
    blank = [pl.lit(None).alias(name) for name in SYMBOLS if name not in listed.columns]
    rows = listed.with_columns(*blank).select(list(SYMBOLS)).cast(SYMBOLS)
    store = platform.lake_context.store
    write.publish_table(store, "reference_symbols", FIRST, rows, key=SYMBOLS_KEY)
    return platform


@dataclass(frozen=True)
class FilledLake:
    """A lake after its first fill, what that did, and what it asked of each vendor."""

    platform: Platform
    done: IngestResult
    asked: tuple[Counter[str], ...]


@pytest.fixture(scope="module")
def by_one(wiki: Simulator, tmp_path_factory: pytest.TempPathFactory) -> FilledLake:
    platform = expecting(tmp_path_factory.mktemp("one"), Vendor(wiki))
    return FilledLake(platform, fill(platform), ())


@pytest.fixture(scope="module")
def by_two(
    wiki: Simulator, yahoo: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> FilledLake:
    platform = expecting(tmp_path_factory.mktemp("two"), Vendor(wiki, candles=yahoo))
    before = [asked_of(vendor) for vendor in (wiki, yahoo)]
    done = fill(platform)
    after = [asked_of(vendor) for vendor in (wiki, yahoo)]
    return FilledLake(platform, done, tuple(b - a for a, b in zip(before, after, strict=True)))


def test_a_vendors_holes_are_found_and_nothing_else_is(by_one: FilledLake) -> None:
    one_vendor, done = by_one.platform, by_one.done

    assert said(one_vendor) == [(*hole, "massive", "absent") for hole in HOLES]
    assert done.absent == len(HOLES)
    assert done.rows == rows_of(WIKI).height == done.expected - len(HOLES)


def test_every_day_the_vendor_has_is_in_the_lake_as_in_its_file(by_one: FilledLake) -> None:
    assert held(by_one.platform).select("symbol", "session", *VALUES).equals(rows_of(WIKI))


def test_a_second_vendor_fills_the_holes_of_the_first(by_two: FilledLake) -> None:
    """The prices of a filled day are the second vendor's: the two differ by up to 35 cents."""
    bars = held(by_two.platform)
    by_provider = dict(bars["provider"].value_counts().iter_rows())
    filled = bars.filter(pl.col("provider") == "finnhub")
    days = filled["session"].implode()
    theirs = rows_of(YAHOO).filter(pl.col("session").is_in(days))
    assert by_provider == {"massive": rows_of(WIKI).height, "finnhub": 2}
    assert list(filled.select("symbol", "session").iter_rows()) == HOLES[:2]
    assert filled.select("symbol", "session", *VALUES).equals(theirs)
    assert filled["close"].to_list() == [Decimal("158.809998"), Decimal("176.240005")]


def test_a_hole_costs_one_call_of_each_symbol(by_two: FilledLake) -> None:
    range_of = "massive /v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}"

    # Three years of three symbols, then the two symbols with holes from the second vendor.
    assert by_two.asked[0] == {range_of: 3}
    assert by_two.asked[1]["finnhub /finnhub/api/v1/stock/candle"] == 2


def test_what_no_vendor_has_is_proven_absent(by_two: FilledLake) -> None:
    nobody = [("GOOGL", date(2017, 11, 8), name, "absent") for name in ("finnhub", "massive")]

    assert [row for row in said(by_two.platform) if row[0] == "GOOGL"] == nobody


@pytest.mark.parametrize("days", [0, 30])
def test_what_is_proven_absent_is_asked_for_no_more(by_two: FilledLake, days: int) -> None:
    later = replace(by_two.platform, clock=Clock(by_two.platform.clock() + timedelta(days=days)))

    again = fill(later)

    assert (again.calls, again.absent) == (0, 1)


def test_two_impossible_rows_end_in_quarantine_with_their_reason(tmp_path: Path) -> None:
    with running({"market": {"replay": {"daily": [str(SPY)]}}}) as vendor:
        platform = Platform(tmp_path, Vendor(vendor), ("SPY",), extended=False)
        done = fill(platform, date(2015, 3, 2), date(2015, 3, 31))
        bad = read_quarantine(platform.lake_context.store, platform.clock().date())

    assert (done.rows, done.rejected, done.absent) == (20, 2, 2)
    assert bad["symbol"].to_list() == ["SPY", "SPY"]
    assert bad["at"].dt.date().to_list() == IMPOSSIBLE
    assert bad["reason"].to_list() == ["low is not the lowest"] * 2
    assert not held(platform)["session"].is_in(IMPOSSIBLE).any()


def test_a_rejected_day_is_asked_for_again_after_a_while(tmp_path: Path) -> None:
    with running({"market": {"replay": {"daily": [str(SPY)]}}}) as vendor:
        platform = Platform(tmp_path, Vendor(vendor), ("SPY",), extended=False)
        month = (date(2015, 3, 2), date(2015, 3, 31))
        fill(platform, *month)
        at_once = fill(platform, *month)
        platform.clock.now += timedelta(seconds=RETRY_AFTER_S + 1)
        later = fill(platform, *month)

    assert [row[-1] for row in said(platform)] == ["rejected"] * 2
    assert (at_once.calls, later.calls) == (0, 1)


@pytest.mark.parametrize("file", DAILY_FILES, ids=lambda file: file.stem)
def test_the_last_year_of_every_file_is_in_the_lake_as_recorded(file: Path, tmp_path: Path) -> None:
    rows = rows_of(file)
    with running({"market": {"replay": {"daily": [str(file)]}}}) as vendor:
        symbols = tuple(rows["symbol"].unique().sort())
        platform = Platform(tmp_path, Vendor(vendor), symbols, extended=False)
        last: date = max(rows["session"].to_list())
        done = fill(platform, last - timedelta(days=365), last)
    recent = rows.filter(pl.col("session") >= last - timedelta(days=365))
    kept = read.daily_bars(platform.lake_context.store, 2000, 2021)

    assert kept.select("symbol", "session", *VALUES).equals(recent)
    assert done.rejected == 0
