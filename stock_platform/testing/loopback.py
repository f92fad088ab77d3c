"""A vendor on loopback: an HTTP server whose responses a test decides, faults included.

with open_vendor() as vendor:
    vendor.response = lambda request: as_json({"status": "OK"})
"""

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class CannedResponse:
    """One response. `cut` bytes of it never arrive; `reset` breaks the connection instead."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    reset: bool = False
    silent: bool = False


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.target).query).items()}


Respond = Callable[[ReceivedRequest], CannedResponse]


class Vendor:
    """Sends `script` first, then what `response` returns; keeps what it `received`."""

    def __init__(self) -> None:
        self.received: list[ReceivedRequest] = []
        self.script: list[CannedResponse] = []
        self.response: Respond = lambda _: CannedResponse(body=b'{"status":"OK"}')
        self.url = ""
        self.released = threading.Event()
        self._turn = threading.Lock()

    def next(self, request: ReceivedRequest) -> CannedResponse:
        with self._turn:
            self.received.append(request)
            return self.script.pop(0) if self.script else self.response(request)


def as_json(value: object, **kwargs: object) -> CannedResponse:
    """Return `value` as JSON; a str is JSON text already."""
    body = value if isinstance(value, str) else json.dumps(value)
    return CannedResponse(body=body.encode(), **kwargs)  # type: ignore[arg-type]


def zipped(canned: CannedResponse, *, cut: int = 0) -> CannedResponse:
    """Return the same in gzip, without its last `cut` bytes though the body claims to be whole."""
    packed = gzip.compress(canned.body)
    return CannedResponse(
        body=packed[: len(packed) - cut],
        status=canned.status,
        headers={**canned.headers, "Content-Encoding": "gzip"},
    )


@contextmanager
def open_vendor() -> Generator[Vendor]:
    """Run a vendor on a free port of this machine."""
    vendor = Vendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet, or every answer waits 40 ms for an acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def do_GET(self) -> None:
            canned = vendor.next(ReceivedRequest(self.command, self.path, dict(self.headers)))
            if canned.silent:
                vendor.released.wait(30)
            if canned.reset or canned.silent:
                # No lingering: the other side sees a reset, not an end.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
                return
            self.send_response(canned.status)
            for name, value in {"Content-Type": "application/json", **canned.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(canned.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(canned.body[: len(canned.body) - canned.cut])
            if canned.cut:
                self.close_connection = True

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing: tests capture logs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        vendor.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
