"""Stand between a client and a real (moto) server, and misbehave as told."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict]
Forward = Callable[[dict], dict]
Fault = Callable[[dict, Forward], Reply | None]
"""Gets the request and a way to the server; its reply, or None to break the connection."""


@dataclass
class Faults:
    """Faults by operation, each used once, in order; and what was asked altogether."""

    url: str = ""
    planned: dict[str, list[Fault]] = field(default_factory=dict)
    seen: list[tuple[str, dict]] = field(default_factory=list)

    def plan(self, operation: str, *faults: Fault) -> None:
        self.planned.setdefault(operation, []).extend(faults)

    def asked(self, operation: str) -> list[dict]:
        return [body for name, body in self.seen if name == operation]


def error(code: str, status: int = 400) -> Fault:
    """Refuse the request with an AWS error."""
    return lambda _body, _forward: (status, {"__type": f"com.amazonaws#{code}", "message": "no"})


def answer_lost(body: dict, forward: Forward) -> Reply | None:
    """Let the server do it, and break the connection before the client hears of it."""
    forward(body)


@contextmanager
def faulty(upstream: str) -> Generator[Faults]:
    """Run the proxy in front of `upstream`."""
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            body = json.loads(raw or b"{}")
            faults.seen.append((operation, body))
            waiting = faults.planned.get(operation)
            if not waiting:
                self._reply(*self._forward(raw))
                return
            reply = waiting.pop(0)(body, lambda b: json.loads(self._forward(_bytes(b))[1]))
            if reply is None:
                self.close_connection = True
                self.connection.close()
                return
            self._reply(reply[0], _bytes(reply[1]))

        def _forward(self, raw: bytes) -> tuple[int, bytes]:
            hop = {"host", "content-length", "connection"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in hop}
            request = urllib.request.Request(upstream + self.path, data=raw, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.code, refusal.read()

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    faults.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bytes(body: dict) -> bytes:
    return json.dumps(body).encode()
