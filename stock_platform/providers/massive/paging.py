"""What all Massive REST answers share: a status, perhaps an error, perhaps a next page.

`next_url` is absolute, names a host of the vendor's choice and lacks the key.
Only its path and query are used, on our own base: the key goes nowhere else.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from stock_platform.errors import InvalidDataError
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import HttpClient, Params

PAGES_MAX = 1_000
GOOD = ("OK", "DELAYED")
"""`DELAYED` is how a plan with 15 minutes of delay reports OK."""

_FAMILY = 3
"""`/v2/aggs/...` pages to `/v2/aggs/...`: the first two parts of the path stay."""


def error_text(body: json_values.Json) -> str | None:
    """Return the error text of an answer that came with HTTP 200 all the same."""
    if not isinstance(body, dict):
        return None
    status = body.get("status")
    if not isinstance(status, str) or status in GOOD:
        return None
    return str(body.get("error") or body.get("message") or status)


def pages(http: HttpClient, path: str, params: Params) -> Iterator[dict[str, object]]:
    """Return the bodies of all pages; `InvalidDataError` when paging loops or leads elsewhere."""
    body = _page(http.get_json(path, params))
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        yield body
        following = body.get("next_url")
        if not following:
            return
        address = _own_address(following, path, base=http.endpoint.url)
        if address in seen:
            raise InvalidDataError(f"{http.endpoint.provider} {path}: next_url comes round again")
        seen.add(address)
        body = _page(http.get_json(address))
    raise InvalidDataError(f"{http.endpoint.provider} {path}: more than {PAGES_MAX} pages")


def results(body: dict[str, object], key: str = "results") -> list[dict[str, object]]:
    """Return the rows of a page; without the key there is no data, unless rows were announced."""
    announced = body.get("resultsCount")
    if body.get(key) is None and isinstance(announced, int) and announced > 0:
        raise InvalidDataError(f"expected {announced} {key}, found none")
    return json_values.records(body.get(key), key)


def _page(body: json_values.Json) -> dict[str, object]:
    page = json_values.record(body, "a Massive answer")
    # An empty object proves nothing empty: a good response names its status.
    if page.get("status") not in GOOD:
        raise InvalidDataError("expected status OK or DELAYED, found none")
    return page


def _own_address(next_url: object, requested: str, *, base: str) -> str:
    if not isinstance(next_url, str):
        raise InvalidDataError(f"expected next_url to be text, found {type(next_url).__name__}")
    try:
        parts = urlsplit(next_url)
    except ValueError:
        raise InvalidDataError("next_url is no address") from None
    path = parts.path.removeprefix(urlsplit(base).path.rstrip("/"))
    if path.split("/")[:_FAMILY] != requested.split("/")[:_FAMILY]:
        raise InvalidDataError("next_url leads to another endpoint")
    query = re.sub(r"(^|&)api_?key=[^&]*", "", parts.query, flags=re.IGNORECASE).lstrip("&")
    return f"{path}?{query}"
