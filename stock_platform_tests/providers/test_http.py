"""What becomes of every way an HTTP answer can go wrong."""

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest

from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.transport.client import HttpClient, NotFoundError, RetryPolicy
from stock_platform.testing.loopback import CannedResponse, Vendor, as_json, zipped
from stock_platform_tests.providers.conftest import NOON, Purse

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
GOOD = as_json({"status": "OK", "results": [1]})
Connect = Callable[..., HttpClient]


def problem_of(http: HttpClient) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        http.get_json("/v1/x", {"a": 1})
    return caught.value


REPEATED = {
    "429 without Retry-After": as_json({"error": "slow down"}, status=429),
    "429 with an empty body": CannedResponse(body=b"", status=429),
    "500 with JSON": as_json({"error": "oops"}, status=500),
    "502 with HTML": CannedResponse(body=HTML, status=502, headers={"Content-Type": "text/html"}),
    "503 with an empty body": CannedResponse(body=b"", status=503),
    "504": CannedResponse(body=HTML, status=504),
    "408": CannedResponse(body=b"", status=408),
    "HTML with 200": CannedResponse(body=HTML, status=200, headers={"Content-Type": "text/html"}),
    "gzip that ends early": zipped(GOOD, cut=6),
    "gzip that is damaged": CannedResponse(
        body=b"\x1f\x8b\x08\x00garbage", status=200, headers={"Content-Encoding": "gzip"}
    ),
    "a body shorter than announced": CannedResponse(body=GOOD.body, cut=5),
    "a connection that breaks": CannedResponse(reset=True),
}


@pytest.mark.parametrize("said", REPEATED.values(), ids=REPEATED)
def test_a_passing_trouble_is_asked_again_and_forgotten(
    said: CannedResponse, vendor: Vendor, connect: Connect
) -> None:
    vendor.script = [said, said, GOOD]

    response = connect().get_json("/v1/x")

    assert (response, len(vendor.received)) == ({"status": "OK", "results": [1]}, 3)


@pytest.mark.parametrize("said", REPEATED.values(), ids=REPEATED)
def test_a_lasting_trouble_is_transient_after_the_last_try(
    said: CannedResponse, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: said

    problem = problem_of(connect())

    assert isinstance(problem, TransientError)
    assert len(vendor.received) == 3


ONCE = {
    "400": (as_json({"status": "ERROR", "error": "bad"}, status=400), PermanentError),
    "401": (as_json({"status": "ERROR", "error": "Unknown API Key"}, status=401), PermanentError),
    "402": (CannedResponse(body=b"", status=402), NotEntitledError),
    "403 by plan": (
        as_json({"status": "NOT_AUTHORIZED", "message": "You are not entitled"}, status=403),
        NotEntitledError,
    ),
    "404": (
        as_json({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404),
        NotFoundError,
    ),
    "a redirect": (
        CannedResponse(body=b"", status=302, headers={"Location": "http://127.0.0.1:1/"}),
        PermanentError,
    ),
    "204": (CannedResponse(body=b"", status=204), PermanentError),
    "an empty body": (CannedResponse(body=b""), InvalidDataError),
    "half of a JSON": (CannedResponse(body=b'{"results":[{"c":1.'), InvalidDataError),
    "text": (CannedResponse(body=b"OK"), InvalidDataError),
    "bytes that are no UTF-8": (CannedResponse(body=b'{"a":"\xff\xfe"}'), InvalidDataError),
    "an encoding nobody asked for": (
        CannedResponse(body=b"x", status=200, headers={"Content-Encoding": "br"}),
        InvalidDataError,
    ),
}


@pytest.mark.parametrize(("said", "kind"), ONCE.values(), ids=ONCE)
def test_what_repeating_can_not_help_is_asked_once(
    said: CannedResponse, kind: type[PlatformError], vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: said

    problem = problem_of(connect())

    assert (type(problem), len(vendor.received)) == (kind, 1)


def test_silence_is_transient(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: CannedResponse(silent=True)
    hasty = RetryPolicy(timeout_s=0.1, attempts_max=1)

    problem = problem_of(connect(retry=hasty))

    assert isinstance(problem, TransientError)
    assert "ReadTimeout" in str(problem)


def test_nobody_there_is_transient(vendor: Vendor, purse: Purse, connect: Connect) -> None:
    http = connect()
    vendor.url = ""
    http._client.base_url = "http://127.0.0.1:9/"

    problem = problem_of(http)

    assert isinstance(problem, TransientError)


RETRY_AFTER = {
    "seconds": ("7", 7.0),
    "a fraction": ("1.5", 1.5),
    "an HTTP date": (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
    "a date that is over": (format_datetime(NOON - timedelta(days=1), usegmt=True), 0.0),
    "more than a month": ("99999999", 31 * 24 * 3600.0),
    "nonsense": ("soon", None),
    "a negative number": ("-5", None),
}


@pytest.mark.parametrize(("header", "delay_s"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after_is_the_delay(
    header: str, delay_s: float | None, vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: CannedResponse(
        body=b"", status=429, headers={"Retry-After": header}
    )

    problem = problem_of(connect(retry=RetryPolicy(attempts_max=1)))

    assert isinstance(problem, TransientError)
    assert problem.delay_s == delay_s


def test_a_short_retry_after_is_waited_for_in_the_call(
    vendor: Vendor, connect: Connect, purse: Purse
) -> None:
    vendor.script = [CannedResponse(body=b"", status=503, headers={"Retry-After": "0.02"}), GOOD]

    connect().get_json("/v1/x")

    assert len(vendor.received) == 2


def test_a_long_retry_after_ends_the_call_at_once(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: CannedResponse(
        body=b"", status=503, headers={"Retry-After": "3600"}
    )

    problem = problem_of(connect())

    assert isinstance(problem, TransientError)
    assert (problem.delay_s, len(vendor.received)) == (3600.0, 1)


def test_a_429_that_names_a_delay_holds_everybody(
    vendor: Vendor, connect: Connect, purse: Purse
) -> None:
    vendor.response = lambda _: CannedResponse(body=b"", status=429, headers={"Retry-After": "30"})
    http = connect()

    first, second = problem_of(http), problem_of(http)

    assert isinstance(first, TransientError)
    assert isinstance(second, TransientError)
    assert (purse.held, len(vendor.received)) == ([30.0], 1)


QUOTA = "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [({"x-ratelimit-requests-reset": "86400"}, 86400.0), ({}, 3600.0)],
    ids=["with its reset", "without a reset"],
)
def test_a_used_up_quota_is_not_asked_again_within_the_minute(
    headers: dict[str, str], delay_s: float, vendor: Vendor, connect: Connect, purse: Purse
) -> None:
    vendor.response = lambda _: as_json({"message": QUOTA}, status=429, headers=headers)

    problem = problem_of(connect())

    assert isinstance(problem, TransientError)
    assert (problem.delay_s, purse.held, len(vendor.received)) == (delay_s, [delay_s], 1)


def test_today_before_the_end_of_day_is_asked_again_later(vendor: Vendor, connect: Connect) -> None:
    said = {
        "status": "NOT_AUTHORIZED",
        "message": "Attempted to request today's data before end of day.",
    }
    vendor.response = lambda _: as_json(said, status=403)

    problem = problem_of(connect())

    assert isinstance(problem, TransientError)
    assert problem.delay_s == 3600.0


COMPLAINTS = {
    "Too many requests": TransientError,
    "You are not subscribed to this API.": NotEntitledError,
    "No data found, symbol may be delisted": InvalidDataError,
}


@pytest.mark.parametrize(("said", "kind"), COMPLAINTS.items())
def test_an_error_object_with_200_is_judged_by_its_text(
    said: str, kind: type[PlatformError], vendor: Vendor, connect: Connect
) -> None:
    vendor.response = lambda _: as_json({"error": said})

    problem = problem_of(connect(complaint=lambda body: body["error"]))

    assert type(problem) is kind


def test_a_body_beyond_the_bound_is_malformed(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: zipped(CannedResponse(body=b'"' + b"a" * 5_000_000 + b'"'))

    problem = problem_of(connect(body_bytes_max=1_000_000))

    assert isinstance(problem, InvalidDataError)


def test_a_good_gzip_body_is_read(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: zipped(as_json({"a": "1"}))

    assert connect().get_json("/v1/x") == {"a": "1"}


def test_the_number_of_tries_is_a_setting(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: CannedResponse(body=b"", status=500)

    problem_of(connect(retry=RetryPolicy(attempts_max=5, backoff_s=0.001)))

    assert len(vendor.received) == 5


def test_a_problem_says_where_and_never_the_query(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: as_json({"error": "bad\nthing\x00 here"}, status=400)

    problem = problem_of(connect())

    assert str(problem) == "massive /v1/x: HTTP 400: bad thing here"
