"""A key is in a header and nowhere else: captured with everything turned on."""

import logging
import pickle
import traceback
from collections.abc import Callable

import pytest
import structlog

from stock_platform.errors import PlatformError
from stock_platform.providers.transport.client import HttpClient, RetryPolicy
from stock_platform.testing.loopback import CannedResponse, Vendor, as_json, zipped
from stock_platform_tests.providers.conftest import CANARY

Connect = Callable[..., HttpClient]

TROUBLES = {
    "a vendor that repeats the key": as_json({"error": f"Invalid API key: {CANARY}"}, status=401),
    "a vendor that repeats it with 200": as_json({"error": f"key {CANARY} is bad"}),
    "429": CannedResponse(body=b"", status=429),
    "a reset": CannedResponse(reset=True),
    "silence": CannedResponse(silent=True),
    "half a body": CannedResponse(body=b"{}", cut=1),
    "damaged gzip": zipped(as_json({}), cut=4),
    "no JSON": CannedResponse(body=CANARY.encode()),
    "HTML": CannedResponse(body=f"<p>{CANARY}</p>".encode(), status=503),
}


@pytest.mark.parametrize("said", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize(
    ("provider", "header"),
    [("massive", "Authorization"), ("finnhub", "X-Finnhub-Token"), ("rapidapi", "X-RapidAPI-Key")],
)
def test_no_log_exception_or_address_holds_the_key(
    said: CannedResponse,
    provider: str,
    header: str,
    vendor: Vendor,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    vendor.response = lambda _: said
    caplog.set_level(logging.DEBUG)
    http = connect(
        provider=provider,
        header=header,
        complaint=lambda body: body.get("error"),
        retry=RetryPolicy(timeout_s=0.1, attempts_max=2, backoff_s=0.001),
    )

    with structlog.testing.capture_logs() as events, pytest.raises(PlatformError) as caught:
        http.get_json("/v1/x", {"symbol": "AAPL"})

    told = "".join(traceback.format_exception(caught.value))
    chain = [caught.value, caught.value.__context__, caught.value.__cause__]
    written = capfd.readouterr()
    everything = (
        f"{told} {chain} {http!r} {http.endpoint!r} {http._client!r} {http._client.headers!r} "
        f"{caplog.text} {events} {written.out} {written.err} "
        f"{[heard.target for heard in vendor.received]}"
    )
    assert CANARY not in everything
    assert CANARY in vendor.received[0].headers[header]


def test_a_problem_carries_no_request_with_it(vendor: Vendor, connect: Connect) -> None:
    vendor.response = lambda _: CannedResponse(reset=True)

    with pytest.raises(PlatformError) as caught:
        connect().get_json("/v1/x")

    assert CANARY.encode() not in pickle.dumps(caught.value)
    assert caught.value.__context__ is None
