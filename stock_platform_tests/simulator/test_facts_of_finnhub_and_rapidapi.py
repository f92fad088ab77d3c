"""PROVIDERS.md section 6, items 9 and 10: what Finnhub and RapidAPI must be able to do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from stock_platform.simulator.entitlements import Budgets
from stock_platform.simulator.scenario import Limit
from stock_platform.simulator.server import Simulator, running

DAY = date(2026, 11, 17)
SYNTHETIC = {"symbols": ("AAPL", "GE", "MSFT"), "first": str(DAY), "last": str(DAY)}


@contextmanager
def simulated(**parts: Any) -> Iterator[Simulator]:
    with running({"market": {"synthetic": SYNTHETIC}, **parts}) as simulator:
        yield simulator


def ask_finnhub(simulator: Simulator, path: str) -> httpx2.Response:
    headers = {"X-Finnhub-Token": simulator.keys.finnhub[0]}
    return httpx2.get(f"{simulator.finnhub_url}/{path}", headers=headers)


def ask_rapidapi(simulator: Simulator, path: str, key: str | None = None) -> httpx2.Response:
    headers = {"X-RapidAPI-Key": key or simulator.keys.rapidapi[0], "X-RapidAPI-Host": "x"}
    return httpx2.get(f"{simulator.rapidapi_url}/{path}", headers=headers)


@contextmanager
def socket_of(simulator: Simulator) -> Iterator[ClientConnection]:
    url = f"{simulator.finnhub_ws_url}?token={simulator.keys.finnhub[0]}"
    with connect(url, compression=None, close_timeout=1) as socket:
        yield socket


def subscribe(socket: ClientConnection, *symbols: str) -> None:
    for symbol in symbols:
        socket.send(json.dumps({"type": "subscribe", "symbol": symbol}))


def messages(socket: ClientConnection, quiet_s: float = 0.5) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    try:
        while True:
            heard.append(json.loads(socket.recv(timeout=quiet_s)))
    except (TimeoutError, ConnectionClosed):
        return heard


def test_6_9_an_unknown_symbol_is_a_quote_of_zeros() -> None:
    with simulated() as simulator:
        answer = ask_finnhub(simulator, "quote?symbol=NONE")

    assert answer.status_code == 200
    assert answer.json() == {
        "c": 0,
        "d": None,
        "dp": None,
        "h": 0,
        "l": 0,
        "o": 0,
        "pc": 0,
        "t": 0,
    }


def test_6_9_a_known_symbol_can_be_told_as_zeros_too() -> None:
    fault = {"vendor": "finnhub", "kind": "zero_quote", "count": 1}
    with simulated(faults=[fault]) as simulator:
        prices = [ask_finnhub(simulator, "quote?symbol=AAPL").json()["c"] for _ in range(2)]

    assert prices[0] == 0
    assert prices[1] > 0


def test_6_9_candles_without_rows_are_no_data() -> None:
    with simulated() as simulator:
        path = "stock/candle?symbol=AAPL&resolution=1&from=1000000000&to=1000086400"
        answer = ask_finnhub(simulator, path)

    assert answer.json() == {"s": "no_data"}


def test_6_9_a_free_key_gets_403_for_candles() -> None:
    with simulated(plan={"finnhub_candles": False}) as simulator:
        path = "stock/candle?symbol=AAPL&resolution=1&from=1000000000&to=1000086400"
        candles, quote = (ask_finnhub(simulator, p) for p in (path, "quote?symbol=AAPL"))

    assert candles.status_code == 403
    assert candles.json() == {"error": "You don't have access to this resource."}
    assert quote.status_code == 200


def test_6_9_the_limit_is_30_a_second_and_60_a_minute() -> None:
    now = [0.0]
    limits = [
        Limit(vendor="finnhub", requests=60, per_s=60),
        Limit(vendor="finnhub", requests=30, per_s=1),
    ]
    budgets = Budgets(limits, clock=lambda: now[0])

    at_once = [budgets.spend("finnhub", "/quote") for _ in range(40)]
    now[0] = 1.0
    next_second = [budgets.spend("finnhub", "/quote") for _ in range(40)]
    now[0] = 2.0
    third_second = budgets.spend("finnhub", "/quote")
    now[0] = 60.0
    next_minute = budgets.spend("finnhub", "/quote")

    assert at_once == [True] * 30 + [False] * 10
    assert next_second == [True] * 30 + [False] * 10
    assert (third_second, next_minute) == (False, True)


def test_6_9_over_the_limit_is_429_in_the_vendors_words() -> None:
    plan = {"limits": [{"vendor": "finnhub", "requests": 2}]}
    with simulated(plan=plan) as simulator:
        answers = [ask_finnhub(simulator, "quote?symbol=AAPL") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error"].startswith("API limit reached.")


@pytest.mark.parametrize(("key", "words"), [("", "Please use an"), ("wrong", "Invalid API key")])
def test_6_9_a_missing_and_a_wrong_key_are_told_apart(key: str, words: str) -> None:
    with simulated() as simulator:
        answer = httpx2.get(f"{simulator.finnhub_url}/quote?symbol=AAPL&token={key}")

    assert answer.status_code == 401
    assert answer.json()["error"].startswith(words)


def test_6_9_too_many_symbols_is_an_error_without_a_name_and_unsubscribing_frees() -> None:
    plan = {"finnhub_symbols_max": 2}
    with (
        simulated(plan=plan, feed={"start": "told"}) as simulator,
        socket_of(simulator) as socket,
    ):
        subscribe(socket, "AAPL", "MSFT", "GE")
        refused = messages(socket)
        socket.send(json.dumps({"type": "unsubscribe", "symbol": "AAPL"}))
        subscribe(socket, "GE")
        taken = messages(socket)

    assert refused == [{"type": "error", "msg": "Subscribing to too many symbols"}]
    assert taken == []


def test_6_9_a_second_connection_kills_both() -> None:
    with (
        simulated(feed={"start": "told"}) as simulator,
        socket_of(simulator) as first,
        socket_of(simulator) as second,
    ):
        with pytest.raises(ConnectionClosed):
            second.recv(timeout=2)
        with pytest.raises(ConnectionClosed):
            first.recv(timeout=2)


def test_6_9_the_socket_brings_trades_of_the_symbols_asked_for() -> None:
    with simulated() as simulator, socket_of(simulator) as socket:
        subscribe(socket, "MSFT")
        heard = messages(socket)
        truth = simulator.market.bars_of("MSFT", DAY)

    trades = [trade for message in heard for trade in message["data"]]
    assert {message["type"] for message in heard} == {"trade"}
    assert {trade["s"] for trade in trades} == {"MSFT"}
    assert sum(trade["v"] for trade in trades) == pytest.approx(truth["volume"].sum(), rel=1e-6)
    assert trades[0].keys() == {"s", "p", "t", "v", "c"}


def test_6_9_a_wrong_key_gets_no_socket() -> None:
    with (
        simulated() as simulator,
        connect(f"{simulator.finnhub_ws_url}?token=wrong", close_timeout=1) as socket,
        pytest.raises(ConnectionClosed),
    ):
        socket.recv(timeout=2)


def test_6_10_a_spent_quota_does_not_heal_in_a_minute() -> None:
    fault = {"vendor": "rapidapi", "kind": "quota", "after": 1}
    with simulated(faults=[fault]) as simulator:
        first, *rest = (ask_rapidapi(simulator, "quote/AAPL") for _ in range(4))

    assert first.status_code == 200
    assert {answer.status_code for answer in rest} == {429}
    assert rest[0].json()["message"].startswith("You have exceeded the MONTHLY quota")
    assert int(rest[0].headers["x-ratelimit-requests-reset"]) > 86_400
    assert rest[0].headers["x-ratelimit-requests-remaining"] == "0"


def test_6_10_an_error_object_comes_with_status_200() -> None:
    fault = {"vendor": "rapidapi", "kind": "error_object", "count": 1}
    with simulated(faults=[fault]) as simulator:
        struck, unknown = (ask_rapidapi(simulator, f"quote/{name}") for name in ("AAPL", "NONE"))

    assert (struck.status_code, unknown.status_code) == (200, 200)
    assert "error" in struck.json()
    assert "error" in unknown.json()


def test_6_10_a_key_without_a_subscription_is_403() -> None:
    with simulated() as simulator:
        answer = ask_rapidapi(simulator, "quote/AAPL", key="wrong")

    assert answer.status_code == 403
    assert answer.json() == {"message": "You are not subscribed to this API."}


def test_quotes_of_all_vendors_tell_the_same_price() -> None:
    with simulated() as simulator:
        close = simulator.market.bars_of("AAPL", DAY)["close"][-1]
        finnhub = ask_finnhub(simulator, "quote?symbol=AAPL").json()["c"]
        rapidapi = ask_rapidapi(simulator, "quote/AAPL").json()["price"]
        [listed] = ask_rapidapi(simulator, "quotes?symbols=AAPL").json()

    assert finnhub == rapidapi == listed["price"] == close


def test_a_quote_follows_the_replay() -> None:
    scenario = {
        "market": {"synthetic": SYNTHETIC, "now": "replay"},
        "feed": {"start": "told"},
    }
    with running(scenario) as simulator:
        before = ask_finnhub(simulator, "quote?symbol=AAPL").json()["c"]
        simulator.start()
        simulator.finished.wait(20)
        after = ask_finnhub(simulator, "quote?symbol=AAPL").json()["c"]
        close = simulator.market.bars_of("AAPL", DAY)["close"][-1]

    assert before == 0
    assert after == close


def test_finnhub_speaks_of_the_market_at_the_time_of_the_replay() -> None:
    with simulated() as simulator:
        status = ask_finnhub(simulator, "stock/market-status?exchange=US").json()

    assert status["isOpen"] is False
    assert abs(status["t"] - simulator.clock.now().timestamp()) < 2
