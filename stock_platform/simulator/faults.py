"""Scripted faults of REST and the bucket: which request is struck, and what it gets."""

import gzip
import json
import random
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stock_platform.simulator import entitlements
from stock_platform.simulator.http import Request, Response, to_json
from stock_platform.simulator.scenario import Fault, Vendor
from stock_platform.simulator.vendors import rapidapi
from stock_platform.simulator.vendors.finnhub import rest

FOREIGN_HOST = "http://foreign.invalid"
_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
_HUGE = 1e300
_WORDS = {
    "html": Response(body=_HTML, status=200, content_type="text/html"),
    "malformed": Response(body=b'{"status":"OK","results":[{"t":17', status=200),
    "empty_body": Response(body=b"", status=200),
    "reset": Response(body=b"", ending="reset"),
    "not_found": to_json({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404),
    "error_object": to_json({"error": {"code": 500, "description": "Upstream failed"}}),
    "zero_quote": to_json(rest.NO_QUOTE),
    "no_data": to_json(rest.NO_DATA),
}
"""Faults whose answer is always the same."""


class Faults:
    """The faults in force. A fault that has struck `count` times is spent."""

    def __init__(self, faults: Sequence[Fault], seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self.set(faults)

    def set(self, faults: Sequence[Fault]) -> None:
        """Replace all faults; counting starts again."""
        with self._lock:
            self._faults = list(faults)
            self._matched = [0] * len(self._faults)
            self._struck = [0] * len(self._faults)

    def strikes(self) -> list[int]:
        """Return how often each fault has struck, in the script's order."""
        with self._lock:
            return list(self._struck)

    def pick(self, vendor: Vendor, path: str) -> Fault | None:
        """Choose the fault that strikes a request, and count it."""
        with self._lock:
            for n, fault in enumerate(self._faults):
                if fault.vendor != vendor or not re.search(fault.path, path):
                    continue
                self._matched[n] += 1
                if self._matched[n] <= fault.after:
                    continue
                if fault.count is not None and self._struck[n] >= fault.count:
                    continue
                if self._random.random() >= fault.probability:
                    continue
                self._struck[n] += 1
                return fault
        return None


def substitute(fault: Fault) -> Response | None:
    """Return the reply of a fault that never lets the request through, or None."""
    match fault.kind:
        case "too_many_requests":
            return _too_many(fault)
        case "server_error":
            return _server_error(fault)
        case "forbidden":
            return entitlements.refused(fault.vendor)
        case "quota":
            return rapidapi.over_quota()
        case _:
            return _WORDS.get(fault.kind)


def modify(fault: Fault, request: Request, response: Response) -> Response:
    """Return what a fault makes of the true reply."""
    match fault.kind:
        case "slow":
            return replace(response, delay_s=fault.delay_s)
        case "cut":
            return replace(response, ending="cut")
        case "truncated_gzip":
            packed = gzip.compress(response.body, 1, mtime=0)
            half = packed[: max(11, len(packed) // 2)]
            headers = {**response.headers, "content-encoding": "gzip"}
            return replace(response, body=half, headers=headers, compressible=False)
        case "looping_next_url":
            return _with_next_url(response, f"{request.root}{request.path}?cursor=bG9vcD0x")
        case "foreign_next_url":
            return _with_next_url(response, f"{FOREIGN_HOST}{request.path}?cursor=bG9vcD0x")
        case "absurd":
            return _absurd(response, fault)
        case _:
            return response


def _too_many(fault: Fault) -> Response:
    response = replace(entitlements.too_many(fault.vendor), status=429)
    if fault.body == "empty":
        response = replace(response, body=b"")
    if fault.retry_after_s is not None:
        response = response.with_headers(retry_after=f"{fault.retry_after_s:g}")
    return response


def _server_error(fault: Fault) -> Response:
    if fault.body == "empty":
        return Response(body=b"", status=fault.status)
    if fault.body == "html":
        return Response(body=_HTML, status=fault.status, content_type="text/html")
    if fault.vendor == "flatfiles":
        body = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
        return Response(body=body, status=fault.status, content_type="application/xml")
    return to_json({"status": "ERROR", "error": "internal error"}, status=fault.status)


def _with_next_url(response: Response, url: str) -> Response:
    answer = json.loads(response.body)
    if not isinstance(answer, dict):
        return response
    return replace(response, body=json.dumps({**answer, "next_url": url}).encode())


def _absurd(response: Response, fault: Fault) -> Response:
    """Spoil the first rows, one kind of nonsense each; NaN is written as Python does."""
    answer = json.loads(response.body)
    rows = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        rows = [answer] if isinstance(answer, dict) else []
    for row, kind in zip(rows, fault.values, strict=False):
        _spoil(row, kind)
    return replace(response, body=json.dumps(answer).encode())


def _spoil(row: dict[str, Any], kind: str) -> None:
    match kind:
        case "nan":
            row["c"] = float("nan")
        case "negative":
            row["v" if "v" in row else "c"] = -5.0
        case "huge":
            row["h"] = _HUGE
        case "text":
            row["o"] = "n/a"
        case "upside_down":
            row["h"], row["l"] = row.get("l", 1.0), row.get("h", 1.0)
            row["h"] = row["h"] / 2
        case _:
            row["t"] = int(row.get("t", 0)) + 1
