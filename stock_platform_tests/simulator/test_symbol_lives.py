"""Symbols that do not exist all the time: lists, details and events as the vendor has them."""

from collections.abc import Iterator
from datetime import date

import httpx2
import pytest

from stock_platform.simulator.server import Simulator, running

RENAMED, GONE, LATE = date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18)
LIVES = [
    {"symbol": "FB", "security": "Meta", "last": RENAMED},
    {"symbol": "META", "security": "Meta", "first": RENAMED, "listed_from": GONE},
    {"symbol": "META", "security": "Fund", "last": "2026-11-13"},
    {"symbol": "DEAD", "last": GONE, "figi": False},
    {"symbol": "FLK", "absent_on": [LATE], "list_date": "2006-10-13"},
]
SCRIPT = {
    "market": {
        "synthetic": {
            "symbols": ["AAPL", "DEAD", "FB", "FLK", "META", "MSFT"],
            "first": date(2026, 11, 12),
            "last": date(2026, 11, 19),
            "splits": [],
            "lives": LIVES,
        }
    }
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running(SCRIPT) as simulator:
        yield simulator


@pytest.fixture
def massive(simulator: Simulator) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {simulator.keys.massive[0]}"}
    with httpx2.Client(base_url=simulator.rest_url, headers=headers, timeout=20) as client:
        yield client


def names(client: httpx2.Client, on: date, **query: str) -> list[str]:
    rows = client.get("/v3/reference/tickers", params={"date": str(on), **query}).json()["results"]
    return [row["ticker"] for row in rows]


def test_a_symbol_trades_in_its_lives_alone(simulator: Simulator) -> None:
    traded = {
        day: set(simulator.market.minute_bars(day)["symbol"]) & {"FB", "META", "DEAD"}
        for day in simulator.market.sessions
    }

    assert traded == {
        date(2026, 11, 12): {"FB", "META", "DEAD"},
        date(2026, 11, 13): {"FB", "DEAD"},
        date(2026, 11, 16): {"META", "DEAD"},
        date(2026, 11, 17): {"META"},
        date(2026, 11, 18): {"META"},
        date(2026, 11, 19): {"META"},
    }


def test_the_list_of_a_day_is_late_or_lacks_one_where_the_script_has_it(
    massive: httpx2.Client,
) -> None:
    assert names(massive, date(2026, 11, 12)) == ["AAPL", "DEAD", "FB", "FLK", "META", "MSFT"]
    assert names(massive, RENAMED) == ["AAPL", "DEAD", "FLK", "MSFT"]
    assert names(massive, GONE) == ["AAPL", "FLK", "META", "MSFT"]
    assert names(massive, LATE) == ["AAPL", "META", "MSFT"]


def test_who_left_is_in_the_list_of_those_no_longer_active(massive: httpx2.Client) -> None:
    query = {"active": "false", "ticker": "DEAD", "date": str(LATE)}
    [row] = massive.get("/v3/reference/tickers", params=query).json()["results"]

    assert row["delisted_utc"].startswith(str(GONE))
    assert row["active"] is False
    assert "composite_figi" not in row


def test_details_are_of_who_has_the_symbol_on_the_day(massive: httpx2.Client) -> None:
    now = massive.get("/v3/reference/tickers/META").json()["results"]
    then = massive.get("/v3/reference/tickers/META?date=2026-11-12").json()["results"]
    before = massive.get("/v3/reference/tickers/FB?date=2026-11-12").json()["results"]

    assert now["composite_figi"] == before["composite_figi"] != then["composite_figi"]
    assert massive.get("/v3/reference/tickers/FLK").json()["results"]["list_date"] == "2006-10-13"


def test_details_of_who_left_are_not_found(massive: httpx2.Client) -> None:
    answer = massive.get("/v3/reference/tickers/DEAD")

    assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")


def test_events_name_every_symbol_of_a_security(massive: httpx2.Client) -> None:
    by_symbol = massive.get("/vX/reference/tickers/META/events?types=ticker_change").json()
    figi = by_symbol["results"]["composite_figi"]
    by_figi = massive.get(f"/vX/reference/tickers/{figi}/events").json()

    events = [
        (event["ticker_change"]["ticker"], event["date"]) for event in by_figi["results"]["events"]
    ]
    assert events == [("META", str(RENAMED)), ("FB", "2003-09-10")]
    assert by_symbol["results"] == by_figi["results"]


def test_a_market_without_lives_lists_everybody_all_the_time() -> None:
    with running({"market": {"synthetic": {"symbols": 8, "splits": []}}}) as simulator:
        rows = simulator.market.listings()

    assert rows["figi"].null_count() == 0
    assert rows["delisted_on"].null_count() == rows.height == 8
