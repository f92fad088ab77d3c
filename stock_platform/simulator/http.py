"""One question and one answer of a simulated HTTP vendor, free of any web framework."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

import msgspec

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request: decoded path, last value of each query parameter, lower-case header names."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    method: str = "GET"
    body: bytes = b""

    @property
    def root(self) -> str:
        """The address the client used, for the absolute URLs of an answer."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"

    def flag(self, name: str, *, default: bool) -> bool:
        text = self.query.get(name)
        return default if text is None else text.lower() not in {"false", "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response; `delay_s` and `ending` are for the server to carry out."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0
    ending: str = "whole"
    """whole; reset: break the connection before a byte; cut: break it within the body."""
    compressible: bool = True

    def with_headers(self, **headers: str) -> "Response":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})


Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A path with `{name}` parts; `{name}` also takes slashes, as symbols may have them."""

    name: str
    pattern: re.Pattern[str]
    handler: Handler


def route(path: str, handler: Handler) -> Route:
    """Make a route whose handler takes the ask and the named parts of the path."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(path))
    return Route(path, re.compile(pattern), handler)


def to_json(value: object, *, status: int = 200) -> Response:
    return Response(body=msgspec.json.encode(value), status=status)


def to_cursor(parameters: Mapping[str, str]) -> str:
    """Write query parameters as the opaque text of a `next_url`."""
    return base64.urlsafe_b64encode(urlencode(parameters).encode()).decode().rstrip("=")


def from_cursor(request: Request) -> Request:
    """Return the ask whose parameters its cursor holds, or the ask itself without one."""
    cursor = request.query.get("cursor")
    if not cursor:
        return request
    text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("utf-8", "replace")
    return replace(request, query={**request.query, **dict(parse_qsl(text))})
