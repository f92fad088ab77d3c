"""What an account may do: entitlements and request budgets, in each vendor's own words."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.http import Request, Response, to_json
from stock_platform.simulator.scenario import Denial, Limit, Vendor
from stock_platform.simulator.vendors import rapidapi
from stock_platform.simulator.vendors.finnhub import rest
from stock_platform.simulator.vendors.massive import responses

_DAY_OR_MS = re.compile(r"(?<![\w.])(\d{4}-\d\d-\d\d|\d{12,13})(?![\w])")
_S3_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def denial(vendor: Vendor, request: Request, rules: Sequence[Denial]) -> Response | None:
    """Return the 403 of the first rule that covers a request, or None."""
    for rule in rules:
        if rule.vendor == vendor and re.search(rule.path, request.path) and _touches(request, rule):
            timeframe = rule.first is not None or rule.last is not None
            return refused(vendor, timeframe=timeframe)
    return None


def refused(vendor: Vendor, *, timeframe: bool = False) -> Response:
    """Word a refusal by plan as the vendor does."""
    if vendor == "massive":
        text = responses.TOO_OLD if timeframe else responses.NOT_ENTITLED
        return responses.denied(text)
    if vendor == "finnhub":
        return to_json(rest.NO_ACCESS, status=403)
    if vendor == "rapidapi":
        return to_json(rapidapi.NOT_SUBSCRIBED, status=403)
    return Response(body=_S3_DENIED, status=403, content_type="application/xml", compressible=False)


def too_many(vendor: Vendor) -> Response:
    """Word a 429 as the vendor does."""
    if vendor == "massive":
        return responses.over_the_rate()
    if vendor == "finnhub":
        return to_json(rest.OVER_THE_RATE, status=429)
    if vendor == "rapidapi":
        return to_json(rapidapi.OVER_THE_RATE, status=429)
    body = (
        b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    )
    return Response(body=body, status=503, content_type="application/xml", compressible=False)


class Budgets:
    """Counts the requests of each limit over a sliding window."""

    def __init__(
        self, limits: Sequence[Limit], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._asked: list[deque[float]] = [deque() for _ in limits]
        self._lock = threading.Lock()

    def spend(self, vendor: Vendor, path: str) -> bool:
        """Take one request out of every matching budget; False when one of them is empty.

        A request that is turned down costs nothing.
        """
        now = self._clock()
        with self._lock:
            matching = [
                (limit, requests)
                for limit, requests in zip(self._limits, self._asked, strict=True)
                if limit.vendor == vendor and re.search(limit.path, path)
            ]
            for limit, requests in matching:
                while requests and requests[0] <= now - limit.per_s:
                    requests.popleft()
            if any(len(requests) >= limit.requests for limit, requests in matching):
                return False
            for _, requests in matching:
                requests.append(now)
            return True


def _touches(request: Request, rule: Denial) -> bool:
    if rule.first is None and rule.last is None:
        return True
    texts = [request.path, *(value for name, value in request.query.items() if name != "apiKey")]
    days = [_day(text) for whole in texts for text in _DAY_OR_MS.findall(whole)]
    if not days:
        return False
    return min(days) <= (rule.last or date.max) and max(days) >= (rule.first or date.min)


def _day(text: str) -> date:
    if "-" in text:
        return date.fromisoformat(text)
    return datetime.fromtimestamp(int(text) / 1000, UTC).astimezone(NEW_YORK).date()
