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
        self, book: PointInTimeMarket, script: Scenario, *, abort: Abort, seed: int
    ) -> None:
        self.script = script
        self.asked: Counter[str] = Counter()
        self.faults = Faults(script.faults, seed)
        self.bucket = flat_files.Bucket(book, script.flatfiles, script.keys.flatfiles)
        self.denied = script.plan.denied
        self.control: Callable[[Request], Response | None] = lambda _: None
        self._abort = abort
        self._lock = threading.Lock()
        self._budgets = Budgets(script.plan.limits)
        self._routes: dict[Vendor, Sequence[Route]] = {
            "massive": routes.massive_routes(book, script),
            "finnhub": rest.Finnhub(book, script.plan).routes(),
            "rapidapi": rapidapi.RapidApi(book).routes(),
            "flatfiles": self.bucket.routes(),
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        ask = await _read(scope, receive)
        reply = await asyncio.to_thread(self.answer, ask)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.ending == "reset":
            self._abort(scope)
            return
        await self._write(scope, send, ask, reply)

    def answer(self, ask: Request) -> Response:
        """Answer one request; safe to call from several threads."""
        if ask.path.startswith(CONTROL):
            return self._control(ask)
        vendor = _vendor(ask.path)
        if vendor == "finnhub":
            # The vendor's own Python client asks for /api/v1//quote.
            ask = replace(ask, path=ask.path.replace("//", "/"))
        for route in self._routes[vendor]:
            found = route.pattern.fullmatch(ask.path)
            if found:
                self._count(f"{vendor} {route.name}")
                return self._through(vendor, ask, route, found.groupdict())
        self._count(f"{vendor} unknown")
        return responses.not_found("Not found.")

    def stats(self) -> dict[str, object]:
        """Count the requests by endpoint and the strikes of each fault."""
        return {"requests": dict(self.asked), "strikes": self.faults.strikes()}

    def _count(self, name: str) -> None:
        with self._lock:
            self.asked[name] += 1

    def _through(
        self, vendor: Vendor, ask: Request, route: Route, parts: dict[str, str]
    ) -> Response:
        refusal = self._unauthorized(vendor, ask)
        if refusal is None and not self._budgets.spend(vendor, ask.path):
            refusal = too_many(vendor)
        refusal = refusal or denial(vendor, ask, self.denied)
        if refusal is not None:
            self._count(f"{vendor} status {refusal.status}")
            return refusal
        fault = self.faults.pick(vendor, ask.path)
        if fault is None:
            return route.handler(ask, **parts)
        self._count(f"{vendor} fault {fault.kind}")
        return substitute(fault) or modify(fault, ask, route.handler(ask, **parts))

    def _unauthorized(self, vendor: Vendor, ask: Request) -> Response | None:
        keys = self.script.keys
        match vendor:
            case "finnhub":
                return rest.authorized(ask, keys.finnhub)
            case "rapidapi":
                return rapidapi.authorized(ask, keys.rapidapi)
            case "flatfiles":
                return flat_files.accepted(ask, keys.flatfiles)
            case _:
                return routes.authorized(ask, keys.massive)

    def _control(self, ask: Request) -> Response:
        """Answer /_simulator/script (new faults, flatfiles, denied), or what the server adds."""
        name = ask.path.removeprefix(CONTROL)
        if name == "script" and ask.method == "POST":
            try:
                changed = msgspec.json.decode(ask.body or b"{}")
                if "faults" in changed:
                    self.faults.set(convert(changed["faults"], tuple[Fault, ...]))
                if "flatfiles" in changed:
                    self.bucket.changes = convert(changed["flatfiles"], tuple[FlatFile, ...])
                if "denied" in changed:
                    self.denied = convert(changed["denied"], tuple[Denial, ...])
            except (InvalidDataError, msgspec.DecodeError, TypeError) as error:
                return to_json({"error": str(error)}, status=400)
            return to_json({"ok": True})
        return self.control(ask) or to_json({"error": "unknown"}, status=404)

    async def _write(self, scope: Any, send: Any, ask: Request, reply: Response) -> None:
        body, headers = reply.body, {**reply.headers, "content-type": reply.content_type}
        gzips = "gzip" in ask.headers.get("accept-encoding", "")
        if gzips and reply.compressible and len(body) > _COMPRESS_FROM:
            body = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
            headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        if ask.method == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        if reply.ending == "cut":
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
    return Request(scope["path"], query, headers, scope["method"], body)
