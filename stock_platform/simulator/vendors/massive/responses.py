"""How Massive words an answer: envelopes, errors, and the ids it stamps on each."""

import hashlib
from datetime import date

import msgspec
import polars as pl

from stock_platform.simulator.http import Response, to_json

NOT_ENTITLED = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
TOO_OLD = (
    "Your plan doesn't include this data timeframe. "
    "Please upgrade your plan at https://massive.com/pricing"
)
OVER_THE_RATE = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your "
    "subscription to continue. https://massive.com/pricing"
)


def request_id(*parts: object) -> str:
    """Return an id that looks like the vendor's and depends on the question alone."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def envelope(
    results: pl.DataFrame, *, status: str = "OK", next_url: str = "", **fields: object
) -> Response:
    """Wrap rows the vendor's way: without any row there is no `results` key at all."""
    rows = results.height
    answer: dict[str, object] = {**fields, "resultsCount": rows}
    if rows:
        answer["results"] = msgspec.Raw(results.write_json().encode())
    answer |= {"status": status, "request_id": request_id(fields, rows), "count": rows}
    if next_url:
        answer["next_url"] = next_url
    return to_json(answer)


def listing(rows: list[dict[str, object]], *, status: str = "OK", next_url: str = "") -> Response:
    """Wrap a page of a reference endpoint; an empty page has an empty `results`."""
    answer: dict[str, object] = {
        "results": rows,
        "status": status,
        "request_id": request_id(rows[:1], len(rows)),
        "count": len(rows),
    }
    if next_url:
        answer["next_url"] = next_url
    return to_json(answer)


def bad_request(text: str) -> Response:
    return _error(400, "ERROR", "error", text)


def unauthorized(*, key_given: bool) -> Response:
    text = "Unknown API Key" if key_given else "API Key was not provided"
    return _error(401, "ERROR", "error", text)


def denied(text: str = NOT_ENTITLED) -> Response:
    return _error(403, "NOT_AUTHORIZED", "message", text)


def not_found(text: str = "Ticker not found.") -> Response:
    return _error(404, "NOT_FOUND", "message", text)


def over_the_rate() -> Response:
    return _error(429, "ERROR", "error", OVER_THE_RATE)


def _error(code: int, status: str, word: str, text: str) -> Response:
    return to_json({"status": status, "request_id": request_id(text), word: text}, status=code)


def dated(text: str) -> date | None:
    """Read an ISO date, or None."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
