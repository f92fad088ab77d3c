"""HTTP to a provider: one client for all of them.

Keys travel in headers that are added at the last moment, errors carry neither
query nor header nor payload, bodies are bounded and known to be whole. A call
is repeated only while the problem is transient and the named delay is short.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import httpx2
import stamina
from pydantic import SecretStr

from stock_platform.errors import InvalidDataError, PermanentError, PlatformError, TransientError
from stock_platform.providers.rate_limit.limiter import RateLimiter
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.body import read_whole
from stock_platform.providers.transport.http_errors import (
    HttpResponse,
    Redaction,
    error_of_status,
    error_of_text,
)

USER_AGENT = "stock-platform"
BODY_BYTES_MAX = 256 * 1024 * 1024
"""The largest answer known, a snapshot of all symbols, has about 10 MB."""
BODY_TIMEOUTS = 5
"""The whole body may take this many times the timeout of one read."""

Params = Mapping[str, str | int]


class NotFoundError(PermanentError):
    """HTTP 404: this address has nothing, as an old or a new endpoint may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a call may take and how often it is repeated before its error is raised."""

    timeout_s: float = 20.0
    """Of connecting and of each read."""
    attempts_max: int = 4
    backoff_s: float = 0.5
    """Before the second try when no delay was named; doubles, with as much jitter on top."""
    wait_max_s: float = 60.0
    """A named delay beyond this ends the call, whose error names the delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go. `keys` maps header names to their values, secret or not."""

    provider: str
    url: str
    keys: Mapping[str, SecretStr | str] = field(default_factory=dict)
    error_text: Callable[[json_values.Json], str | None] = lambda _: None
    """Returns the text of an error object that came with status 200, or None."""


def utc_now() -> datetime:
    """Return the present instant; the clock of every source unless a test brings its own."""
    return datetime.now(UTC)


class HttpClient:
    """A pooled client of one provider; safe to use from several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        budget: RateLimiter,
        *,
        retry: RetryPolicy | None = None,
        connections: int = 8,
        body_bytes_max: int = BODY_BYTES_MAX,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.endpoint = endpoint
        self._budget = budget
        self._retry = retry or RetryPolicy()
        self._body_bytes_max = body_bytes_max
        self._clock = clock
        self._redaction = Redaction.of(endpoint.keys.values())
        self._client = httpx2.Client(
            base_url=endpoint.url,
            auth=_Keys(endpoint.keys),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            timeout=self._retry.timeout_s,
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get_json(self, path: str, params: Params | None = None) -> json_values.Json:
        """Request JSON, repeating while that can help; raise one of the four errors.

        `path` is quoted already and may hold a query when `params` is None.
        """
        retry = self._retry
        for attempt in stamina.retry_context(
            on=self._worth_repeating,
            attempts=retry.attempts_max,
            timeout=None,
            wait_initial=retry.backoff_s,
            wait_max=retry.wait_max_s,
            wait_jitter=retry.backoff_s,
        ):
            # Outside of the attempt: the caller waits for a used-up budget.
            self._budget.acquire()
            with attempt:
                return self._ask_once(path, params)
        raise AssertionError("stamina gives an answer or raises")

    def _worth_repeating(self, error: Exception) -> bool | float:
        if not isinstance(error, TransientError):
            return False
        if error.delay_s is None:
            return True
        return error.delay_s if error.delay_s <= self._retry.wait_max_s else False

    def _ask_once(self, path: str, params: Params | None) -> json_values.Json:
        where = f"{self.endpoint.provider} {self._redaction.clean(path.split('?', maxsplit=1)[0])}"
        try:
            return self._decode(self._exchange(path, params))
        except PlatformError as problem:
            found = problem
        # Outside of the handler, so that nothing of the exchange is chained to it.
        message = f"{where}: {found}"
        if isinstance(found, TransientError):
            raise TransientError(message, delay_s=found.delay_s)
        raise type(found)(message)

    def _decode(self, response: HttpResponse) -> json_values.Json:
        text = self._error_message(response)
        if response.status == 404:
            raise NotFoundError(f"HTTP 404: {text or 'without a message'}")
        problem = error_of_status(response, text, now=self._clock())
        if isinstance(problem, TransientError) and response.status == 429 and problem.delay_s:
            # Every process that shares this budget would get the same response.
            self._budget.pause(problem.delay_s)
        if problem:
            raise problem
        body = json_values.decode(response.body)
        error_text = self.endpoint.error_text(body)
        if error_text is not None:
            problem = error_of_text(self._redaction.clean(error_text))
            if isinstance(problem, TransientError) and problem.delay_s:
                self._budget.pause(problem.delay_s)
            raise problem
        return body

    def _error_message(self, response: HttpResponse) -> str:
        if response.status == 200:
            return ""
        if response.is_html:
            return "a page of HTML"
        try:
            body = json_values.decode(response.body)
        except InvalidDataError:
            return ""
        text = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
        return self._redaction.clean(str(text or ""))

    def _exchange(self, path: str, params: Params | None) -> HttpResponse:
        try:
            with self._client.stream("GET", path, params=params) as response:
                body = read_whole(
                    response.iter_raw(),
                    encoding=response.headers.get("content-encoding", "").lower(),
                    bytes_max=self._body_bytes_max,
                    timeout_s=self._retry.timeout_s * BODY_TIMEOUTS,
                )
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status_code, headers, body)
        except httpx2.TransportError as error:
            problem = TransientError(type(error).__name__)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = PermanentError(type(error).__name__)
        # Outside of the handler: httpx2's exceptions hold the request and its key.
        raise problem


class _Keys(httpx2.Auth):
    """Adds the keys when a request leaves: they are in no default header that prints itself."""

    def __init__(self, keys: Mapping[str, SecretStr | str]) -> None:
        self._keys = dict(keys)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        for name, key in self._keys.items():
            request.headers[name] = key if isinstance(key, str) else key.get_secret_value()
        yield request
