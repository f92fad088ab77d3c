"""The newest quote of a symbol stays, whatever order, repetition or trouble it came in."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random

import polars as pl
import pytest

from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.dynamodb import LatestQuotes, Refreshed
from stock_platform.settings import ServingSettings
from stock_platform_tests.serving.faulty import Faults, Forward, Reply, answer_lost, error
from stock_platform_tests.serving.made_quotes import NOON, made_quote

LATER = NOON + timedelta(minutes=3)


@pytest.fixture
def latest(aws: ServingSettings) -> LatestQuotes:
    table = LatestQuotes.open(aws)
    table.create_table()
    return table


@pytest.fixture
def troubled(faulty_aws: ServingSettings) -> LatestQuotes:
    table = LatestQuotes.open(faulty_aws)
    table.create_table()
    return table


def test_an_item_says_what_the_quote_said_and_when_it_was_inserted(latest: LatestQuotes) -> None:
    latest.write(made_quote(price="132.060000"), LATER)

    assert latest.read(["GOOG"]) == [
        {
            "symbol": "GOOG",
            "price": "132.06",
            "high": "133.5",
            "low": "127",
            "provider": "finnhub",
            "minute": "2026-11-20T17:00:00.000000Z",
            "quoted_at": "2026-11-20T17:00:00.000000Z",
            "inserted_date": "2026-11-20",
            "inserted_time": "17:03:00.000000Z",
        }
    ]


def test_a_repeat_writes_nothing(latest: LatestQuotes) -> None:
    quotes = pl.concat([made_quote("GOOG"), made_quote("MSFT")])
    latest.write(quotes, LATER)

    repeated = latest.write(quotes, LATER + timedelta(minutes=1))

    assert repeated == Refreshed(written=0, stale=2, ahead=0)
    assert {item["inserted_time"] for item in latest.read(["GOOG", "MSFT"])} == {"17:03:00.000000Z"}


def test_an_older_quote_never_replaces_a_newer_one(latest: LatestQuotes) -> None:
    latest.write(made_quote(seconds=60, price="2"), LATER)

    refreshed = latest.write(made_quote(seconds=59.999999, price="1"), LATER)

    assert refreshed == Refreshed(written=0, stale=1, ahead=0)
    assert latest.read(["GOOG"])[0]["price"] == "2"


def test_of_one_write_the_newest_quote_of_each_symbol_stays(latest: LatestQuotes) -> None:
    quotes = [made_quote(seconds=s, price=str(1 + s)) for s in (2, 0, 5, 1)]

    refreshed = latest.write(pl.concat(quotes), LATER)

    assert refreshed == Refreshed(written=1, stale=3, ahead=0)
    assert latest.read(["GOOG"])[0]["price"] == "6"


def test_writers_in_any_order_at_once_leave_the_newest(latest: LatestQuotes) -> None:
    quotes = [made_quote(seconds=s, price=str(1 + s)) for s in range(24)]
    Random(3).shuffle(quotes)

    with ThreadPoolExecutor(6) as writers:
        list(writers.map(lambda quote: latest.write(quote, LATER), quotes))

    assert latest.read(["GOOG"])[0]["price"] == "24"


def test_a_newer_quote_stored_between_our_read_and_our_write_stays(
    troubled: LatestQuotes, faults: Faults
) -> None:
    def overtaken(body: dict, forward: Forward) -> Reply:
        answer = forward(body)
        troubled.write(made_quote(seconds=9, price="9"), LATER)
        return 200, answer

    faults.plan("BatchGetItem", overtaken)

    refreshed = troubled.write(made_quote(seconds=1, price="1"), LATER)

    assert refreshed == Refreshed(written=0, stale=1, ahead=0)
    assert troubled.read(["GOOG"])[0]["price"] == "9"


def test_a_quote_from_the_future_does_not_shut_out_the_real_ones(latest: LatestQuotes) -> None:
    refreshed = latest.write(made_quote(seconds=86_400 * 365), LATER)
    latest.write(made_quote(price="5"), LATER)

    assert refreshed == Refreshed(written=0, stale=0, ahead=1)
    assert latest.read(["GOOG"])[0]["price"] == "5"


def test_a_quote_without_high_and_low_is_stored_without_them(latest: LatestQuotes) -> None:
    latest.write(made_quote(high=None, low=None), LATER)

    assert not {"high", "low"} & latest.read(["GOOG"])[0].keys()


def test_hundreds_of_symbols_are_read_and_written(latest: LatestQuotes) -> None:
    symbols = [f"S{n:03d}" for n in range(250)]
    quotes = pl.concat([made_quote(symbol) for symbol in symbols])

    assert latest.write(quotes, LATER).written == 250
    assert [item["symbol"] for item in latest.read(symbols)] == symbols


def test_no_quotes_are_no_work(latest: LatestQuotes) -> None:
    assert latest.write(made_quote().clear(), LATER) == Refreshed(0, 0, 0)


def test_creating_the_table_again_changes_nothing(latest: LatestQuotes) -> None:
    latest.write(made_quote(), LATER)

    assert latest.create_table() is False
    assert len(latest.read(["GOOG"])) == 1


def test_throttled_writes_are_tried_again(troubled: LatestQuotes, faults: Faults) -> None:
    throttled = error("ProvisionedThroughputExceededException")
    faults.plan("PutItem", throttled, throttled)
    faults.plan("BatchGetItem", error("ThrottlingException"), error("InternalServerError", 500))

    assert troubled.write(made_quote(), LATER).written == 1
    assert len(faults.asked("PutItem")) == 3


def test_keys_left_unprocessed_are_asked_again_alone(
    troubled: LatestQuotes, faults: Faults
) -> None:
    def process_one(body: dict, forward: Forward) -> Reply:
        [(table, request)] = body["RequestItems"].items()
        first, *rest = request["Keys"]
        answer = forward({"RequestItems": {table: request | {"Keys": [first]}}})
        return 200, answer | {"UnprocessedKeys": {table: {"Keys": rest}}}

    quotes = pl.concat([made_quote(symbol) for symbol in ("GOOG", "MSFT", "NVDA")])
    troubled.write(quotes, LATER)
    faults.seen.clear()
    faults.plan("BatchGetItem", process_one, process_one)

    assert troubled.write(quotes, LATER).stale == 3
    asked = [next(iter(b["RequestItems"].values()))["Keys"] for b in faults.asked("BatchGetItem")]
    assert [len(keys) for keys in asked] == [3, 2, 1]
    assert not faults.asked("PutItem")


def test_a_write_whose_answer_was_lost_is_written_once(
    troubled: LatestQuotes, faults: Faults
) -> None:
    faults.plan("PutItem", answer_lost)

    troubled.write(made_quote(price="7"), LATER)

    assert troubled.read(["GOOG"])[0]["price"] == "7"


def test_endless_throttling_ends_as_transient(troubled: LatestQuotes, faults: Faults) -> None:
    faults.plan("PutItem", *[error("ThrottlingException")] * 5)

    with pytest.raises(TransientError, match="ThrottlingException"):
        troubled.write(made_quote(), LATER)


def test_a_missing_table_is_permanent_and_named(aws: ServingSettings) -> None:
    with pytest.raises(PermanentError, match=aws.latest_quotes_table):
        LatestQuotes.open(aws).write(made_quote(), LATER)
