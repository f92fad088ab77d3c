"""Recorded bars behind the same vendors: every row of the CSVs comes back unchanged."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx2
import polars as pl
import pytest

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.replayed import ReplayedMarket
from stock_platform.simulator.scenario import ReplayScenario
from stock_platform.simulator.server import Simulator, running
from stock_platform.simulator.vendors.flat_files import flat_file
from stock_platform_tests.shared_data import DAILY_FILES, MINUTE_FILES, SHARED
from stock_platform_tests.simulator.feed_client import hear, subscribed

HALF_DAY = date(2020, 11, 27)
LETTERS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


@pytest.fixture(scope="module")
def recorded() -> Iterator[Simulator]:
    with running({"market": {"replay": {"minute": [str(SHARED / "minute")]}}}) as simulator:
        yield simulator


def request(simulator: Simulator, path: str) -> dict:
    headers = {"Authorization": f"Bearer {simulator.keys.massive[0]}"}
    return httpx2.get(simulator.rest_url + path, headers=headers, timeout=20).json()


@pytest.mark.parametrize("file", MINUTE_FILES, ids=lambda file: file.stem)
def test_rest_gives_back_every_recorded_row(recorded: Simulator, file: Path) -> None:
    rows = pl.read_csv(file)
    symbol = rows["symbol"][0]
    first, last = (
        datetime.fromtimestamp(rows["ts_utc_ms"][n] / 1000, UTC).astimezone(NEW_YORK).date()
        for n in (0, -1)
    )

    path = f"/v2/aggs/ticker/{symbol}/range/1/minute/{first}/{last}?limit=50000&adjusted=false"
    bars = pl.DataFrame(request(recorded, path)["results"])

    told = bars.select(ts_utc_ms="t", **{name: pl.col(c) for name, c in LETTERS.items()})
    expected = rows.drop("symbol").with_columns(pl.col(list(LETTERS)).cast(pl.Float64))
    assert told.cast(expected.schema).equals(expected)


def test_the_recorded_half_day_ends_at_17(recorded: Simulator) -> None:
    bars = recorded.market.bars_of("MSFT", HALF_DAY)

    last = bars["minute"][-1].astimezone(NEW_YORK)

    assert f"{last:%H:%M}" == "16:59"
    assert recorded.market.calendar.grid(HALF_DAY).closes_at == last + timedelta(minutes=1)


def test_what_the_files_do_not_know_is_left_out_of_the_answer(recorded: Simulator) -> None:
    path = f"/v2/aggs/ticker/MSFT/range/1/minute/{HALF_DAY}/{HALF_DAY}"

    bar = request(recorded, path)["results"][0]

    assert bar.keys() == {"o", "h", "l", "c", "v", "t"}


def test_a_flat_file_of_recorded_bars_has_empty_transactions(recorded: Simulator) -> None:
    text = flat_file(PointInTimeMarket(recorded.market, recorded.clock), "minute_aggs_v1", HALF_DAY)

    rows = pl.read_csv(text)
    assert rows.height == recorded.market.minute_bars(HALF_DAY).height
    assert rows["transactions"].null_count() == rows.height


def test_the_feed_brings_the_recorded_bars() -> None:
    file = str(SHARED / "minute" / "MSFT_2020-11-23_2020-12-04.csv")
    scenario = {
        "market": {"replay": {"minute": [file]}},
        "feed": {"sessions": [HALF_DAY]},
    }
    with running(scenario) as simulator:
        with subscribed(simulator, "AM.MSFT") as socket:
            told = hear(socket, quiet_s=0.5)
        truth = simulator.market.bars_of("MSFT", HALF_DAY)

    sent = [(event["s"], event["o"], event["c"], event["v"]) for event in told.events]
    assert sent == list(
        truth.select(
            pl.col("minute").dt.epoch("ms"), "open", "close", pl.col("volume").cast(pl.Int64)
        ).iter_rows()
    )


def test_daily_files_are_told_with_their_holes_and_splits() -> None:
    wiki = SHARED / "daily" / "AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv"
    holes = SHARED / "daily" / "AAPL_GOOGL_YHOO_2015_2017_raw_wiki.csv"
    market = ReplayedMarket(ReplayScenario(daily=(str(wiki), str(holes))))

    assert [(split.symbol, split.ratio) for split in market.splits()][0:1] == [("AAPL", 7.0)]
    assert date(2017, 11, 8) not in market.sessions
    assert "AAPL" not in market.daily_bars(date(2017, 8, 7))["symbol"].to_list()
    assert market.daily_bars(date(2014, 6, 6)).filter(symbol="AAPL")["close"][0] == 645.57


def test_impossible_rows_are_told_as_they_are() -> None:
    file = next(path for path in DAILY_FILES if path.stem == "SPY_2007_2017_yahoo")
    market = ReplayedMarket(ReplayScenario(daily=(str(file),)))

    row = market.daily_bars(date(2015, 3, 5)).row(0, named=True)

    prices = (row["open"], row["close"])
    assert not row["low"] <= min(prices) <= max(prices) <= row["high"]


def test_recorded_daily_bars_win_over_those_made_of_minutes() -> None:
    scenario = ReplayScenario(
        minute=(str(SHARED / "minute" / "SPY_2020-12-15_2020-12-18_rth.csv"),),
        daily=(str(SHARED / "daily" / "SPY_2020-09_2021-01_yahoo.csv"),),
    )
    market = ReplayedMarket(scenario)

    day = market.daily_bars(date(2020, 12, 15)).row(0, named=True)

    assert day["volume"] > market.minute_bars(date(2020, 12, 15))["volume"].sum()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidDataError, match=r"nowhere\.csv"):
        ReplayedMarket(ReplayScenario(minute=("nowhere.csv",)))


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")

    with pytest.raises(InvalidDataError, match=r"other\.csv is not a file of bars"):
        ReplayedMarket(ReplayScenario(minute=(str(file),)))


def test_symbols_that_look_like_null_are_read_as_text(tmp_path: Path) -> None:
    file = tmp_path / "awkward.csv"
    file.write_text(
        "symbol,ts_utc_ms,open,high,low,close,volume\n"
        "NA,1606401000000,1,1,1,1,5\nNULL,1606401000000,2,2,2,2,5\n"
    )

    market = ReplayedMarket(ReplayScenario(minute=(str(file),)))

    assert market.listings()["symbol"].to_list() == ["NA", "NULL"]
