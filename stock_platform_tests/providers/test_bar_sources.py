"""What every source of bars of one symbol keeps, whatever its vendor."""

from datetime import timedelta

import pytest

from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.transport.client import NotFoundError
from stock_platform.testing.loopback import CannedResponse, Vendor, as_json, zipped
from stock_platform.testing.providers import OPEN, SESSION, sample_minutes
from stock_platform_tests.providers.conftest import CANARY
from stock_platform_tests.providers.stages import STAGES, Connect, Stage

CLOSE = OPEN + timedelta(minutes=390)
NEXT_DAY = OPEN + timedelta(days=1)
LAST = CLOSE - timedelta(minutes=1)


@pytest.fixture(params=STAGES, ids=lambda stage: stage.name)
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.param


HTML = b"<!doctype html><title>busy</title>"
FAULTS: dict[str, tuple[CannedResponse, type[PlatformError]]] = {
    "429 with Retry-After": (
        CannedResponse(body=b"", status=429, headers={"Retry-After": "30"}),
        TransientError,
    ),
    "429 without Retry-After": (as_json({"error": "limit"}, status=429), TransientError),
    "500": (as_json({"error": "x"}, status=500), TransientError),
    "502 with HTML": (CannedResponse(body=HTML, status=502), TransientError),
    "HTML with 200": (CannedResponse(body=HTML), TransientError),
    "truncated gzip": (zipped(as_json({"status": "OK"}), cut=5), TransientError),
    "reset": (CannedResponse(reset=True), TransientError),
    "401": (as_json({"error": "Invalid API key."}, status=401), PermanentError),
    "400": (CannedResponse(body=b"", status=400), PermanentError),
    "404": (CannedResponse(body=b"", status=404), NotFoundError),
    "403 by plan": (
        as_json({"error": "You don't have access to this resource."}, status=403),
        NotEntitledError,
    ),
    "no JSON": (CannedResponse(body=b"OK"), InvalidDataError),
    "a JSON array": (CannedResponse(body=b"[]"), InvalidDataError),
    "a JSON null": (CannedResponse(body=b"null"), InvalidDataError),
    "an empty object": (CannedResponse(body=b"{}"), InvalidDataError),
    "rows that are no list": (
        as_json({"status": "OK", "results": 5, "s": "ok", "t": 5}),
        InvalidDataError,
    ),
    "200 with an error": (as_json({"status": "ERROR", "error": "what?"}), InvalidDataError),
}


@pytest.mark.parametrize(("said", "kind"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_one_problem(
    said: CannedResponse, kind: type[PlatformError], stage: Stage, vendor: Vendor, connect: Connect
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
    stage.say(vendor, sample_minutes(0))

    stage.source(connect, lambda: NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert CANARY in " ".join(vendor.received[0].headers.values())
    assert CANARY not in vendor.received[0].target
