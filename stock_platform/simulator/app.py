"""The HTTP side as one ASGI application: find the vendor, check, strike, answer, count."""

import asyncio
import gzip
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from stock_platform.errors import InvalidDataError
from stock_platform.simulator.entitlements import Budgets, denial, too_many
from stock_platform.simulator.faults import Faults, modify, substitute
from stock_platform.simulator.http import Request, Response, Route, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.scenario import Denial, Fault, FlatFile, Scenario, Vendor, convert
from stock_platform.simulator.vendors import flat_files, rapidapi
from stock_platform.simulator.vendors.finnhub import rest
from stock_platform.simulator.vendors.massive import responses, routes

CONTROL = "/_simulator/"
_COMPRESS_FROM = 1_000
_BODY_MAX = 1_000_000
Abort = Callable[[Any], None]


class Application:
    """Answers for every vendor. `abort` breaks the connection of an ASGI scope."""

    def __init__(
        self, as_of: PointInTimeMarket, scenario: Scenario, *, abort: Abort, seed: int
    ) -> None:
        self.scenario = scenario
        self.requests: Counter[str] = Counter()
        self.faults = Faults(scenario.faults, seed)
        self.bucket = flat_files.Bucket(
            as_of=as_of, changes=scenario.flatfiles, keys=scenario.keys.flatfiles
        )
        self.denied = scenario.plan.denied
        self.control: Callable[[Request], Response | None] = lambda _: None
        self._abort = abort
        self._lock = threading.Lock()
        self._budgets = Budgets(scenario.plan.limits)
        self._routes: dict[Vendor, Sequence[Route]] = {
            "massive": routes.massive_routes(as_of, scenario),
            "finnhub": rest.Finnhub(as_of, scenario.plan).routes(),
            "rapidapi": rapidapi.RapidApi(as_of).routes(),
            "flatfiles": self.bucket.routes(),
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        response = await asyncio.to_thread(self.answer, request)
        if response.delay_s:
            await asyncio.sleep(response.delay_s)
        if response.ending == "reset":
            self._abort(scope)
            return
        await self._write(scope, send, request, response)

    def answer(self, request: Request) -> Response:
        """Answer one request; safe to call from several threads."""
        if request.path.startswith(CONTROL):
            return self._control(request)
        vendor = _vendor(request.path)
        if vendor == "finnhub":
            # The vendor's own Python client asks for /api/v1//quote.
            request = replace(request, path=request.path.replace("//", "/"))
        for route in self._routes[vendor]:
            found = route.pattern.fullmatch(request.path)
            if found:
                self._count(f"{vendor} {route.name}")
                return self._through(vendor, request, route, found.groupdict())
        self._count(f"{vendor} unknown")
        return responses.not_found("Not found.")

    def stats(self) -> dict[str, object]:
        """Count the requests by endpoint and the strikes of each fault."""
        return {"requests": dict(self.requests), "strikes": self.faults.strikes()}

    def _count(self, name: str) -> None:
        with self._lock:
            self.requests[name] += 1

    def _through(
        self, vendor: Vendor, request: Request, route: Route, parts: dict[str, str]
    ) -> Response:
        refusal = self._unauthorized(vendor, request)
        if refusal is None and not self._budgets.spend(vendor, request.path):
            refusal = too_many(vendor)
        refusal = refusal or denial(vendor, request, self.denied)
        if refusal is not None:
            self._count(f"{vendor} status {refusal.status}")
            return refusal
        fault = self.faults.pick(vendor, request.path)
        if fault is None:
            return route.handler(request, **parts)
        self._count(f"{vendor} fault {fault.kind}")
        return substitute(fault) or modify(fault, request, route.handler(request, **parts))

    def _unauthorized(self, vendor: Vendor, request: Request) -> Response | None:
        keys = self.scenario.keys
        match vendor:
            case "finnhub":
                return rest.authorized(request, keys.finnhub)
            case "rapidapi":
                return rapidapi.authorized(request, keys.rapidapi)
            case "flatfiles":
                return flat_files.accepted(request, keys.flatfiles)
            case _:
                return routes.authorized(request, keys.massive)

    def _control(self, request: Request) -> Response:
        """Answer /_simulator/script (new faults, flatfiles, denied), or what the server adds."""
        name = request.path.removeprefix(CONTROL)
        if name == "script" and request.method == "POST":
            try:
                changed = msgspec.json.decode(request.body or b"{}")
                if "faults" in changed:
                    self.faults.set(convert(changed["faults"], tuple[Fault, ...]))
                if "flatfiles" in changed:
                    self.bucket.changes = convert(changed["flatfiles"], tuple[FlatFile, ...])
                if "denied" in changed:
                    self.denied = convert(changed["denied"], tuple[Denial, ...])
            except (InvalidDataError, msgspec.DecodeError, TypeError) as error:
                return to_json({"error": str(error)}, status=400)
            return to_json({"ok": True})
        return self.control(request) or to_json({"error": "unknown"}, status=404)

    async def _write(self, scope: Any, send: Any, request: Request, response: Response) -> None:
        body, headers = response.body, {**response.headers, "content-type": response.content_type}
        gzips = "gzip" in request.headers.get("accept-encoding", "")
        if gzips and response.compressible and len(body) > _COMPRESS_FROM:
            body = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
            headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        if request.method == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        if response.ending == "cut":
            half = body[: len(body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await asyncio.sleep(0.05)
            self._abort(scope)
            return
        await send({"type": "http.response.body", "body": body})


def _vendor(path: str) -> Vendor:
    if path.startswith(rest.PREFIX):
        return "finnhub"
    if path.startswith(rapidapi.PREFIX):
        return "rapidapi"
    return "flatfiles" if path.startswith(f"/{flat_files.BUCKET}") else "massive"


async def _read(scope: Any, receive: Any) -> Request:
    body = b""
    while len(body) < _BODY_MAX:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        path=scope["path"], query=query, headers=headers, method=scope["method"], body=body
    )
