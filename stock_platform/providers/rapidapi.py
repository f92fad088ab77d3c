"""A RapidAPI-style quote endpoint, whose shape the settings describe.

Hundreds of such endpoints exist and each responds differently: an object, an
array, JSON text inside a JSON string, or an error object with HTTP 200. The
mapping names, for each of our columns, the dotted path to its value.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.providers.factory import Capability, ProviderContext, Providers
from stock_platform.providers.quote_polling import PRICES, Group, RawQuote, poll
from stock_platform.providers.sources import QuoteResponse
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import Endpoint, HttpClient, utc_now
from stock_platform.settings import Settings

NAME = "rapidapi"
SYMBOLS_PER_CALL = 50
"""Where the address takes `{symbols}`, a list with commas."""
_UNWRAPS_MAX = 3
_COLUMNS = frozenset({"symbol", "quoted_at", *PRICES})


def error_text(body: json_values.Json) -> str | None:
    """Return the error text of a response that came with HTTP 200 all the same."""
    if not isinstance(body, dict):
        return None
    error = body.get("error") or body.get("errors")
    if not error and body.get("message") and len(body) == 1:
        # A message alone is an error; beside data it is a remark.
        error = body["message"]
    return _error_message(error) if error else None


class RapidApi:
    """The provider: quotes of the endpoint that the settings describe."""

    name = NAME
    capabilities: frozenset[Capability] = frozenset({"quotes"})

    def is_configured(self, settings: Settings) -> bool:
        return bool(settings.rapid.key.get_secret_value())

    def open(self, context: ProviderContext) -> Providers:
        settings = context.settings.rapid
        parts = urlsplit(settings.url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise PermanentError("RAPIDAPI_URL: expected https://... with {symbol} in it")
        keys = {"X-RapidAPI-Key": settings.key, "X-RapidAPI-Host": settings.host or parts.netloc}
        http = context.http(
            Endpoint(
                provider=NAME,
                url=f"{parts.scheme}://{parts.netloc}",
                keys=keys,
                error_text=error_text,
            ),
            per_minute=settings.requests_per_minute,
        )
        quotes = RapidQuotes(
            http,
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            settings.fields,
            rows=settings.rows,
            at_once=context.settings.requests.max_concurrent_requests,
            clock=context.clock,
        )
        return Providers(quotes=[quotes])


class RapidQuotes:
    """Quotes by `{symbol}` one at a time, or by `{symbols}` many in one call."""

    name = NAME

    def __init__(
        self,
        http: HttpClient,
        path: str,
        fields: Mapping[str, str],
        *,
        rows: str = "",
        at_once: int = 8,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Hold the `path` with its placeholder and the dotted path to the `rows` of a response."""
        unknown = sorted(set(fields) - _COLUMNS)
        if unknown or "price" not in fields:
            raise PermanentError(
                f"RAPIDAPI_FIELDS: price is needed and only {', '.join(sorted(_COLUMNS))} "
                f"are known, found {', '.join(sorted(fields))}"
            )
        self._many = "{symbols}" in path
        if not self._many and "{symbol}" not in path:
            raise PermanentError("RAPIDAPI_URL: expected {symbol} or {symbols} in it")
        if self._many and "symbol" not in fields:
            raise PermanentError("RAPIDAPI_FIELDS: symbol is needed where the URL takes {symbols}")
        self._http = http
        self._path = path
        self._fields = dict(fields)
        self._rows = rows
        self._at_once = at_once
        self._clock = clock

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Request `symbols` now and stamp the quotes with `minute`."""
        return poll(
            self._fetch,
            symbols,
            provider=NAME,
            minute=minute,
            asked_at=self._clock(),
            group=SYMBOLS_PER_CALL if self._many else 1,
            at_once=self._at_once,
        )

    def _fetch(self, group: Group) -> list[RawQuote]:
        names = ",".join(quote(name, safe="") for name in group)
        path = self._path.replace("{symbols}", names).replace("{symbol}", names)
        rows = to_rows(self._http.get_json(path), self._rows)
        return [to_quote(row, self._fields, requested=group) for row in rows]


def to_rows(body: json_values.Json, path: str = "") -> list[dict[str, object]]:
    """Find the quotes in a response: at `path`, one or many, perhaps as JSON in a string."""
    found = dig(_unwrapped(body), path) if path else _unwrapped(body)
    found = _unwrapped(found)
    return json_values.records(found if isinstance(found, list) else [found], "the quotes")


def to_quote(row: dict[str, object], fields: Mapping[str, str], *, requested: Group) -> RawQuote:
    """Read one quote by its mapping; what is wrong with it is under `wrong`."""
    named = json_values.text(dig(row, fields["symbol"])) if "symbol" in fields else None
    error = error_text(row)
    wrong = None if error is None else f"an error instead of a quote: {error}"
    if named is not None and named not in requested:
        wrong = wrong or "a symbol that was not requested"
    values = {name: json_values.number(dig(row, fields[name])) for name in PRICES if name in fields}
    return {
        "symbol": named or (requested[0] if len(requested) == 1 else None),
        **values,
        "quoted_at": _instant(dig(row, fields["quoted_at"])) if "quoted_at" in fields else None,
        "wrong": wrong,
    }


def dig(value: object, path: str) -> object:
    """Follow a dotted path through objects and lists (`data.0.price`); None where it ends."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _unwrapped(value: object) -> object:
    for _ in range(_UNWRAPS_MAX):
        if not isinstance(value, str):
            return value
        value = json_values.decode(value.encode("utf-8", "replace"))
    raise InvalidDataError(f"{NAME}: expected a quote, found text")


def _instant(value: object) -> datetime | None:
    number = json_values.instant(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _error_message(error: object) -> str:
    if isinstance(error, dict):
        texts = (error.get(key) for key in ("message", "description", "info", "code"))
        return next((str(text) for text in texts if text), "without a message")
    return str(error)
