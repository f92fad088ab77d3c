"""The shapes of answers that a field mapping has to cope with."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from stock_platform.errors import InvalidDataError, PermanentError, TransientError
from stock_platform.providers.rapidapi import RapidQuotes, error_text
from stock_platform.providers.transport.client import HttpClient
from stock_platform.testing.loopback import Vendor, as_json
from stock_platform_tests.providers.conftest import NOON, Purse

Connect = Callable[..., HttpClient]
MINUTE = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
FIELDS = {"price": "price", "quoted_at": "time"}
ROW = {"symbol": "A", "price": 11.5, "time": 1795188598}


def source(connect: Connect, path: str = "/quote/{symbol}", **kwargs: object) -> RapidQuotes:
    http = connect(provider="rapidapi", header="X-RapidAPI-Key", complaint=error_text)
    fields = kwargs.pop("fields", FIELDS)
    return RapidQuotes(http, path, fields, clock=lambda: NOON, **kwargs)  # type: ignore[arg-type]


SHAPES = {
    "an object": (ROW, {}),
    "an array of one": ([ROW], {}),
    "JSON in a string": (json.dumps(ROW), {}),
    "JSON in a string twice": (json.dumps(json.dumps([ROW])), {}),
    "rows under a path": ({"quoteResponse": {"result": [ROW]}}, {"rows": "quoteResponse.result"}),
    "a row by its number": ({"data": [{}, ROW]}, {"rows": "data.1"}),
    "JSON in a string under a path": ({"body": json.dumps(ROW)}, {"rows": "body"}),
    "a price deep inside": (
        {"a": [{"b": {"c": "11.5"}}], "time": 1795188598},
        {"fields": {"price": "a.0.b.c", "quoted_at": "time"}},
    ),
}


@pytest.mark.parametrize(("body", "settings"), SHAPES.values(), ids=SHAPES)
def test_the_mapping_finds_the_price(
    body: object, settings: dict[str, object], vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: as_json(json.dumps(body))

    response = source(connect, **settings).quotes(["A"], MINUTE)

    assert response.quotes.select("symbol", "price").rows() == [("A", Decimal("11.5"))]
    assert response.quotes["quoted_at"].to_list() == [datetime.fromtimestamp(1795188598, UTC)]


TIMES = {
    "seconds": 1795188598,
    "milliseconds": 1795188598000,
    "text of seconds": "1795188598",
    "ISO with an offset": "2026-11-20T10:29:58-05:00",
    "ISO without one is UTC": "2026-11-20T15:29:58",
}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_a_time_is_read_in_any_unit(time: object, vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: as_json({**ROW, "time": time})

    response = source(connect).quotes(["A"], MINUTE)

    assert response.quotes["quoted_at"].to_list() == [datetime.fromtimestamp(1795188598, UTC)]


def test_many_symbols_in_one_call_are_told_apart(vendor: Vendor, connect: Connect) -> None:
    rows = [ROW, {**ROW, "symbol": "B"}, {**ROW, "symbol": "ELSE"}, {"error": {"code": 404}}]
    vendor.response = lambda _: as_json(rows)
    fields = {**FIELDS, "symbol": "symbol"}

    response = source(connect, "/quotes?symbols={symbols}", fields=fields).quotes(
        ["A", "B", "C"], MINUTE
    )

    assert vendor.received[0].target == "/quotes?symbols=A,B,C"
    assert response.quotes["symbol"].to_list() == ["A", "B"]
    assert response.absent == ("C",)
    assert response.rejected["reason"].to_list() == [
        "a symbol that was not requested",
        "an error instead of a quote: 404",
    ]


def test_a_quote_of_another_symbol_is_refused(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: as_json(ROW)
    fields = {**FIELDS, "symbol": "symbol"}

    response = source(connect, fields=fields).quotes(["B"], MINUTE)

    assert response.quotes.is_empty()
    assert response.rejected["reason"].to_list() == ["a symbol that was not requested"]


QUOTA = "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."


@pytest.mark.parametrize("status", [429, 200])
def test_a_used_up_quota_holds_the_provider_until_its_reset(
    status: int, vendor: Vendor, connect: Connect, purse: Purse
) -> None:
    headers = {"x-ratelimit-requests-reset": "1814400"}
    vendor.response = lambda _: as_json({"message": QUOTA}, status=status, headers=headers)

    with pytest.raises(TransientError) as caught:
        source(connect).quotes(["A"], MINUTE)

    assert caught.value.delay_s == {429: 1814400.0, 200: 3600.0}[status]
    assert purse.held == [caught.value.delay_s]
    assert len(vendor.received) == 1


def test_text_in_text_without_end_is_malformed(vendor: Vendor, connect: Connect) -> None:
    body = json.dumps(ROW)
    for _ in range(9):
        body = json.dumps(body)
    vendor.response = lambda _: as_json(body)

    with pytest.raises(InvalidDataError):
        source(connect).quotes(["A"], MINUTE)


WRONG = {
    "no placeholder": ("/quote", FIELDS),
    "no price": ("/quote/{symbol}", {"high": "h"}),
    "an unknown column": ("/quote/{symbol}", {**FIELDS, "colour": "c"}),
    "many symbols and no symbol": ("/quotes/{symbols}", FIELDS),
}


@pytest.mark.parametrize(("path", "fields"), WRONG.values(), ids=WRONG)
def test_wrong_settings_name_their_variable(
    path: str, fields: dict[str, str], connect: Connect
) -> None:
    with pytest.raises(PermanentError, match=r"RAPIDAPI_(URL|FIELDS)"):
        source(connect, path, fields=fields)
