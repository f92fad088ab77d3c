"""What every source of bars of one symbol keeps, whatever its vendor."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from stock_platform.domain import bars
from stock_platform.domain.revision import Revision
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.sources import DailySource, MinuteBarSource
from stock_platform.providers.transport.client import NotFoundError
from stock_platform_tests.providers.conftest import CANARY
from stock_platform_tests.providers.stages import (
    OPEN,
    SESSION,
    STAGES,
    Connect,
    Stage,
    Told,
    minutes,
)
from stock_platform_tests.providers.vendor import Said, Vendor, as_json, zipped

CLOSE = OPEN + timedelta(minutes=390)
NEXT_DAY = OPEN + timedelta(days=1)
LAST = CLOSE - timedelta(minutes=1)


@pytest.fixture(params=STAGES, ids=lambda stage: stage.name)
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.param


def test_it_is_a_source_by_name(stage: Stage, connect: Connect) -> None:
    source = stage.source(connect, lambda: NEXT_DAY)

    assert isinstance(source, MinuteBarSource)
    assert isinstance(source, DailySource)
    assert source.name == stage.name


def test_bars_come_digit_by_digit(stage: Stage, vendor: Vendor, connect: Connect) -> None:
    told = Told(OPEN, "187.012345", "188.1", "186.000001", "187.99", "12345678901.123456")
    stage.say(vendor, [told])

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    row = response.bars.row(0, named=True)
    assert response.bars.schema == bars.MINUTE_BARS
    assert {name: row[name] for name in ("open", "high", "low", "close", "volume")} == {
        "open": Decimal("187.012345"),
        "high": Decimal("188.1"),
        "low": Decimal("186.000001"),
        "close": Decimal("187.99"),
        "volume": Decimal("12345678901.123456"),
    }
    assert (row["symbol"], row["minute"], row["provider"]) == ("AAPL", OPEN, stage.name)


def test_the_range_asked_for_is_inclusive(stage: Stage, vendor: Vendor, connect: Connect) -> None:
    stage.say(vendor, minutes(0, 1, 2, 3, 4))
    source = stage.source(connect, lambda: NEXT_DAY)

    response = source.minute_bars(
        "AAPL", SESSION, OPEN + timedelta(minutes=1), OPEN + timedelta(minutes=3)
    )

    assert response.bars["minute"].to_list() == [told.at for told in minutes(1, 2, 3)]


def test_minutes_outside_the_range_are_refused_not_dropped(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.blurt(vendor, minutes(0, 5, 9))
    source = stage.source(connect, lambda: NEXT_DAY)

    response = source.minute_bars("AAPL", SESSION, OPEN, OPEN + timedelta(minutes=4))

    assert response.bars.height == 1
    assert response.rejected["reason"].to_list() == ["outside the minutes asked for"] * 2


def test_a_minute_said_twice_is_one_bar(stage: Stage, vendor: Vendor, connect: Connect) -> None:
    stage.say(vendor, minutes(0, 0, 1))

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.bars["minute"].to_list() == [told.at for told in minutes(0, 1)]


def test_no_data_is_an_answer_that_proves_emptiness(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say(vendor, [])

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars("ZZZZ", SESSION, OPEN, LAST)

    assert (response.bars.height, response.outcome, response.revision.proves_empty) == (
        0,
        "ok",
        True,
    )
    assert (response.first, response.last) == (OPEN, LAST)


def test_an_answer_is_final_only_after_the_session_settled(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say(vendor, minutes(0))
    times = [CLOSE + timedelta(minutes=19), CLOSE + timedelta(minutes=20)]

    revisions = [
        stage.source(connect, lambda at=at: at).minute_bars("AAPL", SESSION, OPEN, LAST).revision
        for at in times
    ]

    assert revisions == [Revision.REST, Revision.FINAL]


def test_the_running_minute_is_left_out(stage: Stage, vendor: Vendor, connect: Connect) -> None:
    stage.say(vendor, minutes(*range(10)))
    now = OPEN + timedelta(minutes=5, seconds=30)

    response = stage.source(connect, lambda: now).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.last == OPEN + timedelta(minutes=4)
    assert response.bars["minute"].max() == response.last


def test_a_minute_of_the_future_is_transient(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say(vendor, minutes(0))
    source = stage.source(connect, lambda: OPEN - timedelta(minutes=9))

    with pytest.raises(TransientError) as caught:
        source.minute_bars("AAPL", SESSION, OPEN, LAST)

    assert caught.value.delay_s == 600
    assert not vendor.heard


ABSURD = {
    "NaN": ({"close": "NaN"}, "close is not a number"),
    "Infinity": ({"high": "Infinity"}, "high is not a number"),
    "null": ({"open": "null"}, "open is not a number"),
    "text": ({"open": '"abc"'}, "open is not a number"),
    "a list": ({"open": "[1]"}, "open is not a number"),
    "true": ({"open": "true"}, "open is not a number"),
    "negative price": ({"low": "-1.5"}, "low is not positive"),
    "zero price": ({"low": "0"}, "low is not positive"),
    "huge price": ({"high": "1e12"}, "high is absurdly large"),
    "huge exponent": ({"high": "1e999"}, "high is not a number"),
    "hundred digits": ({"high": "9" * 100}, "high is absurdly large"),
    "negative volume": ({"volume": "-1"}, "volume is negative"),
    "huge volume": ({"volume": "1e15"}, "volume is absurdly large"),
    "high below low": ({"high": "1", "low": "2"}, "high is not the highest"),
}


@pytest.mark.parametrize(("wrong", "reason"), ABSURD.values(), ids=ABSURD)
def test_an_absurd_row_is_refused_with_its_reason_and_costs_no_other(
    wrong: dict[str, str], reason: str, stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    odd = Told(OPEN + timedelta(minutes=1), **wrong)
    stage.say(vendor, [*minutes(0), odd, *minutes(2)])

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.bars["minute"].to_list() == [told.at for told in minutes(0, 2)]
    assert response.rejected.select("reason", "at", "provider").rows() == [
        (reason, odd.at, stage.name)
    ]


def test_a_bar_off_the_minute_is_refused(stage: Stage, vendor: Vendor, connect: Connect) -> None:
    stage.blurt(vendor, [Told(OPEN + timedelta(seconds=30))])

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.rejected["reason"].to_list() == ["not aligned to the minute"]


@pytest.mark.parametrize("symbol", ["BRK.B", "BF/B", "BC-", "BCpA", "A#", "A^B", "A+B", "NA"])
def test_any_symbol_reaches_the_vendor_unchanged(
    symbol: str, stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say(vendor, minutes(0))

    response = stage.source(connect, lambda: NEXT_DAY).minute_bars(symbol, SESSION, OPEN, LAST)

    assert response.bars["symbol"].to_list() == [symbol]


def test_daily_bars_are_put_on_their_session(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say_days(vendor, [Told(OPEN - timedelta(days=1)), Told(OPEN)])
    source = stage.source(connect, lambda: NEXT_DAY)

    response = source.daily_bars_of("AAPL", date(2026, 11, 19), SESSION)

    assert response.bars.schema == bars.DAILY_BARS
    assert response.bars["session"].to_list() == [date(2026, 11, 19), SESSION]
    assert response.revision is Revision.FINAL


def test_sessions_outside_the_span_are_refused(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say_days(vendor, [Told(OPEN - timedelta(days=7)), Told(OPEN)])

    response = stage.source(connect, lambda: NEXT_DAY).daily_bars_of("AAPL", SESSION, SESSION)

    assert response.bars["session"].to_list() == [SESSION]
    assert response.rejected["reason"].to_list() == ["outside the sessions asked for"]


def test_a_daily_bar_of_a_running_session_is_not_asked_for(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    source = stage.source(connect, lambda: OPEN + timedelta(hours=1))

    with pytest.raises(TransientError):
        source.daily_bars_of("AAPL", SESSION, SESSION)

    assert not vendor.heard


HTML = b"<!doctype html><title>busy</title>"
FAULTS: dict[str, tuple[Said, type[PlatformError]]] = {
    "429 with Retry-After": (Said(b"", 429, {"Retry-After": "30"}), TransientError),
    "429 without Retry-After": (as_json({"error": "limit"}, status=429), TransientError),
    "500": (as_json({"error": "x"}, status=500), TransientError),
    "502 with HTML": (Said(HTML, 502), TransientError),
    "HTML with 200": (Said(HTML), TransientError),
    "truncated gzip": (zipped(as_json({"status": "OK"}), cut=5), TransientError),
    "reset": (Said(reset=True), TransientError),
    "401": (as_json({"error": "Invalid API key."}, status=401), PermanentError),
    "400": (Said(b"", 400), PermanentError),
    "404": (Said(b"", 404), NotFoundError),
    "403 by plan": (
        as_json({"error": "You don't have access to this resource."}, status=403),
        NotEntitledError,
    ),
    "no JSON": (Said(b"OK"), InvalidDataError),
    "a JSON array": (Said(b"[]"), InvalidDataError),
    "a JSON null": (Said(b"null"), InvalidDataError),
    "an empty object": (Said(b"{}"), InvalidDataError),
    "rows that are no list": (
        as_json({"status": "OK", "results": 5, "s": "ok", "t": 5}),
        InvalidDataError,
    ),
    "200 with an error": (as_json({"status": "ERROR", "error": "what?"}), InvalidDataError),
}


@pytest.mark.parametrize(("said", "kind"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_one_problem(
    said: Said, kind: type[PlatformError], stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: said
    source = stage.source(connect, lambda: NEXT_DAY)

    with pytest.raises(PlatformError) as caught:
        source.minute_bars("AAPL", SESSION, OPEN, LAST)

    assert type(caught.value) is kind
    assert CANARY not in str(caught.value)


def test_the_key_is_in_a_header_and_no_address(
    stage: Stage, vendor: Vendor, connect: Connect
) -> None:
    stage.say(vendor, minutes(0))

    stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert CANARY in " ".join(vendor.heard[0].headers.values())
    assert CANARY not in vendor.heard[0].target
