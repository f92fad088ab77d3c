"""What every source of quotes keeps, whatever its vendor."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from stock_platform.domain import quotes
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers import finnhub, rapidapi
from stock_platform.providers.finnhub import FinnhubQuotes
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.quotes import MassiveQuotes
from stock_platform.providers.rapidapi import RapidQuotes
from stock_platform.providers.sources import QuoteSource
from stock_platform.providers.transport.client import HttpClient
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor, as_json, zipped
from stock_platform_tests.providers.conftest import CANARY, NOON

Connect = Callable[..., HttpClient]
MINUTE = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
TRADED = datetime(2026, 11, 20, 15, 29, 58, tzinfo=UTC)


@dataclass(frozen=True)
class Stage:
    """One vendor's words for a table of symbol -> price as JSON text."""

    name: str
    source: Callable[[Connect], QuoteSource]
    words: Callable[[Mapping[str, str]], Callable[[ReceivedRequest], CannedResponse]]


def _massive(table: Mapping[str, str]) -> Callable[[ReceivedRequest], CannedResponse]:
    t = int(TRADED.timestamp()) * 1_000_000_000

    def response(heard: ReceivedRequest) -> CannedResponse:
        asked = heard.query["tickers"].split(",")
        rows = [
            f'{{"ticker":"{name}","day":{{"o":10,"h":12,"l":9}},"prevDay":{{"c":9.5}},'
            f'"lastQuote":{{"p":10.9,"P":11.1}},"lastTrade":{{"p":{table[name]},"t":{t}}}}}'
            for name in asked
            if name in table
        ]
        return as_json(f'{{"status":"OK","tickers":[{",".join(rows)}]}}')

    return response


def _finnhub(table: Mapping[str, str]) -> Callable[[ReceivedRequest], CannedResponse]:
    zeros = '{"c":0,"d":null,"dp":null,"h":0,"l":0,"o":0,"pc":0,"t":0}'

    def response(heard: ReceivedRequest) -> CannedResponse:
        price = table.get(heard.query["symbol"])
        known = f'{{"c":{price},"h":12,"l":9,"o":10,"pc":9.5,"t":{int(TRADED.timestamp())}}}'
        return as_json(known if price else zeros)

    return response


def _rapid(table: Mapping[str, str]) -> Callable[[ReceivedRequest], CannedResponse]:
    def response(heard: ReceivedRequest) -> CannedResponse:
        name = heard.path.rsplit("/", 1)[1].replace("%2F", "/")
        if name not in table:
            return as_json({"error": {"code": 404, "description": "No data found"}})
        return as_json(
            f'{{"data":{{"sym":"{name}","p":{table[name]},"o":10,"h":12,"l":9,"pc":9.5,'
            f'"at":"{TRADED.isoformat()}"}}}}'
        )

    return response


FIELDS = {
    "symbol": "data.sym",
    "price": "data.p",
    "open": "data.o",
    "high": "data.h",
    "low": "data.l",
    "previous_close": "data.pc",
    "quoted_at": "data.at",
}
STAGES = [
    Stage(
        "massive",
        lambda connect: MassiveQuotes(connect(complaint=paging.error_text), clock=lambda: NOON),
        _massive,
    ),
    Stage(
        "finnhub",
        lambda connect: FinnhubQuotes(
            connect(provider="finnhub", header="X-Finnhub-Token", complaint=finnhub.error_text),
            clock=lambda: NOON,
        ),
        _finnhub,
    ),
    Stage(
        "rapidapi",
        lambda connect: RapidQuotes(
            connect(provider="rapidapi", header="X-RapidAPI-Key", complaint=rapidapi.error_text),
            "/quote/{symbol}",
            FIELDS,
            clock=lambda: NOON,
        ),
        _rapid,
    ),
]


@pytest.fixture(params=STAGES, ids=lambda stage: stage.name)
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.param


def test_a_quote_keeps_its_digits_and_both_its_times(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = stage.words({"BF/B": "11.012345"})

    response = stage.source(connect).quotes(["BF/B"], MINUTE)

    row = response.quotes.row(0, named=True)
    assert response.quotes.schema == quotes.RAW_QUOTES
    assert (row["symbol"], row["minute"], row["price"]) == ("BF/B", MINUTE, Decimal("11.012345"))
    assert (row["high"], row["low"], row["previous_close"]) == (12, 9, Decimal("9.5"))
    assert (row["quoted_at"], row["observed_at"], row["provider"]) == (TRADED, NOON, stage.name)


HTML = b"<html>busy</html>"
FAULTS: dict[str, tuple[CannedResponse, type[PlatformError]]] = {
    "429 with Retry-After": (
        CannedResponse(body=b"", status=429, headers={"Retry-After": "30"}),
        TransientError,
    ),
    "429 without Retry-After": (as_json({"error": "limit"}, status=429), TransientError),
    "502 with HTML": (CannedResponse(body=HTML, status=502), TransientError),
    "HTML with 200": (CannedResponse(body=HTML), TransientError),
    "truncated gzip": (zipped(as_json({"c": 1}), cut=5), TransientError),
    "reset": (CannedResponse(reset=True), TransientError),
    "401": (as_json({"error": "Invalid API key."}, status=401), PermanentError),
    "403 by plan": (as_json({"message": "You are not subscribed"}, status=403), NotEntitledError),
    "no JSON": (CannedResponse(body=b"OK"), InvalidDataError),
    "a JSON number": (CannedResponse(body=b"5"), InvalidDataError),
    "200 with an error": (as_json({"status": "ERROR", "error": "what?"}), InvalidDataError),
}


@pytest.mark.parametrize(("said", "kind"), FAULTS.values(), ids=FAULTS)
def test_a_fault_that_meets_everybody_is_one_problem(
    said: CannedResponse, kind: type[PlatformError], stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: said

    with pytest.raises(PlatformError) as caught:
        stage.source(connect).quotes([f"S{n}" for n in range(100)], MINUTE)

    assert type(caught.value) is kind
    # Trouble of the first handful is not asked for a hundred times.
    assert len(vendor.received) <= 3 * 8


def test_the_key_is_in_a_header_and_no_address(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = stage.words({"A": "11"})

    stage.source(connect).quotes(["A"], MINUTE)

    assert CANARY in " ".join(vendor.received[0].headers.values())
    assert CANARY not in vendor.received[0].target


@pytest.mark.parametrize("stage", STAGES[1:], indirect=True, ids=["finnhub", "rapidapi"])
def test_one_symbols_trouble_does_not_cost_the_others_theirs(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    words = stage.words(dict.fromkeys("ABCDEF", "11"))
    troubles = {
        "B": CannedResponse(body=b"", status=403),
        "C": CannedResponse(body=b"", status=503, headers={"Retry-After": "99"}),
        "D": CannedResponse(body=b"", status=404),
        "E": CannedResponse(body=b"not JSON"),
    }

    def response(heard: ReceivedRequest) -> CannedResponse:
        name = heard.query.get("symbol") or heard.path.rsplit("/", 1)[1]
        return troubles.get(name) or words(heard)

    vendor.response = response

    found = stage.source(connect).quotes(list("ABCDEF"), MINUTE)

    assert found.quotes["symbol"].to_list() == ["A", "F"]
    assert (found.refused, found.failed, found.absent) == (("B",), ("C",), ("D",))
    assert found.rejected["symbol"].to_list() == ["E"]
    assert found.delay_s == 99


def test_a_zero_quote_of_finnhub_is_an_unknown_symbol(vendor: Vendor, connect: Connect) -> None:
    stage = STAGES[1]
    vendor.response = stage.words({"A": "11"})

    response = stage.source(connect).quotes(["A", "NOBODY"], MINUTE)

    assert response.rejected.select("symbol", "reason").rows() == [("NOBODY", finnhub.ZERO_QUOTE)]


def test_a_snapshot_before_the_open_has_prices_of_none_not_of_zero(
    vendor: Vendor, connect: Connect
) -> None:
    row = {
        "ticker": "A",
        "day": {"o": 0, "h": 0, "l": 0, "c": 0},
        "min": {"c": 0},
        "prevDay": {"c": 9.5},
        "lastTrade": {"p": 9.6, "t": int((TRADED - timedelta(hours=3)).timestamp() * 1000)},
        "lastQuote": None,
    }
    vendor.response = lambda _: as_json({"status": "OK", "tickers": [row]})

    response = STAGES[0].source(connect).quotes(["A"], MINUTE)

    found = response.quotes.row(0, named=True)
    assert [found[name] for name in ("open", "high", "low", "bid", "ask")] == [None] * 5
    assert (found["price"], found["previous_close"]) == (Decimal("9.6"), Decimal("9.5"))
    assert found["quoted_at"] == TRADED - timedelta(hours=3)


def test_a_snapshot_of_the_whole_market_is_one_call(vendor: Vendor, connect: Connect) -> None:
    names = [f"S{n}" for n in range(3_000)]
    rows = [{"ticker": name, "lastTrade": {"p": 5, "t": 1}} for name in [*names, "OTHER"]]
    body = json.dumps({"status": "OK", "tickers": rows})
    vendor.response = lambda _: as_json(body)

    response = STAGES[0].source(connect).quotes(names, MINUTE)

    assert (response.quotes.height, len(vendor.received)) == (3_000, 1)
    assert vendor.received[0].query == {}
