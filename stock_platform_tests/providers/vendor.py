"""A vendor on loopback that says what a test tells it to, well or badly."""

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


@dataclass(frozen=True)
class Said:
    """One answer. `cut` bytes of it never arrive; `reset` breaks the connection instead."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    reset: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Heard:
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


Answer = Callable[[Heard], Said]


class Vendor:
    """Answers with `script` first, then by `answer`; remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.script: list[Said] = []
        self.response: Answer = lambda _: Said(b'{"status":"OK"}')
        self.url = ""
        self.released = threading.Event()
        self._turn = threading.Lock()

    def next(self, heard: Heard) -> Said:
        with self._turn:
            self.heard.append(heard)
            return self.script.pop(0) if self.script else self.response(heard)


def as_json(value: object, **kwargs: object) -> Said:
    """Say `value` as JSON; a str is taken for JSON text already."""
    body = value if isinstance(value, str) else json.dumps(value)
    return Said(body.encode(), **kwargs)  # type: ignore[arg-type]


def zipped(said: Said, *, cut: int = 0) -> Said:
    """Say the same in gzip, its last `cut` bytes missing from a body that claims to be whole."""
    packed = gzip.compress(said.body)
    return Said(
        packed[: len(packed) - cut], said.status, {**said.headers, "Content-Encoding": "gzip"}
    )


@contextmanager
def open_vendor() -> Generator[Vendor]:
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
            said = vendor.next(Heard(self.command, self.path, dict(self.headers)))
            if said.silent:
                vendor.released.wait(30)
            if said.reset or said.silent:
                # No lingering: the other side sees a reset, not an end.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(said.body[: len(said.body) - said.cut])
            if said.cut:
                self.close_connection = True

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Keep quiet: tests capture logs."""

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
