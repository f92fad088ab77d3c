"""The load: a vendor's socket in a process of its own, sending prebuilt frames.

Nothing is built while it runs but a small probe every 10 ms, so that the load
costs as little as possible of the two cores it shares with what is measured.
"""

import base64
import hashlib
import multiprocessing
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from stock_platform_tests.bench.stream_events import PROBES, make_frames, probe

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SLICE_S = 0.005
PROBE_S = 0.01
BLOCK_EVENTS = 40_000
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `rate` events a second (0: as fast as they are taken)."""

    per_frame: int = 20
    rate: int = 0
    tls: bool = False
    symbols: int = 8_000
    skew: float = 0.0


@dataclass
class Source:
    """A running load."""

    port: int
    tls: bool
    _shared: Any
    authority: Path | None = None
    process: Any = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://localhost:{self.port}"

    @property
    def events(self) -> int:
        return int(self._shared[0])

    @property
    def blocked_ms_max(self) -> float:
        """The longest time one send waited for the reader."""
        return self._shared[1] / 1000

    @property
    def cpu_s(self) -> float:
        return self._shared[2] / 1000

    def forget_blocked(self) -> None:
        self._shared[1] = 0


@contextmanager
def sending(load: Load, folder: Path) -> Iterator[Source]:
    """Serve the load to whoever connects, subscribes and reads."""
    shared = _SPAWN.Array("q", 4)
    ready = _SPAWN.Event()
    authority, pems = None, None
    if load.tls:
        ca = trustme.CA()
        authority = folder / "ca.pem"
        ca.cert_pem.write_to_path(str(authority))
        pem = folder / "server.pem"
        ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
        pems = str(pem)
    process = _SPAWN.Process(target=_serve, args=(load, shared, ready, pems), daemon=True)
    process.start()
    ready.wait(60)
    try:
        yield Source(int(shared[3]), load.tls, shared, authority, process)
    finally:
        process.kill()
        process.join()


def _serve(load: Load, shared: Any, ready: Any, pem: str | None) -> None:
    random.seed(7)
    frames = make_frames(load.per_frame, BLOCK_EVENTS, load.symbols, load.skew)
    wire = [to_wire(frame) for frame in frames]
    listener = socket.create_server(("127.0.0.1", 0))
    shared[3] = listener.getsockname()[1]
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    ready.set()
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(
            target=_talk, args=(plain, context, load, wire, shared), daemon=True
        ).start()


def _talk(plain: socket.socket, context: Any, load: Load, wire: list[bytes], shared: Any) -> None:
    try:
        connection = context.wrap_socket(plain, server_side=True) if context else plain
        channels, messages = shake_hands(connection)
        # Only the connection of trades and quotes gets the load; the other stays quiet.
        if any(name.startswith(("T.", "Q.")) for name in channels):
            if load.rate:
                _send_paced(connection, load, wire, shared)
            else:
                _send_flat_out(connection, load, wire, shared)
        else:
            while True:
                messages.next()  # and answers pings, or the reader takes us for dead
    except OSError:
        return


def _send_flat_out(connection: Any, load: Load, wire: list[bytes], shared: Any) -> None:
    step = max(1, 2_000 // load.per_frame)
    while True:
        for at in range(0, len(wire), step):
            part = wire[at : at + step]
            connection.sendall(b"".join(part))
            shared[0] += len(part) * load.per_frame
        shared[2] = int(time.process_time() * 1000)


def _send_paced(connection: Any, load: Load, wire: list[bytes], shared: Any) -> None:
    started = time.perf_counter()
    sent = at = probes = 0
    probe_at = started
    while True:
        now = time.perf_counter()
        due = int((now - started) * load.rate / load.per_frame) - sent
        out = []
        while due > 0:
            part = wire[at : at + due]
            out += part
            due -= len(part)
            sent += len(part)
            at = (at + len(part)) % len(wire)
        if now >= probe_at:
            probe_at = now + PROBE_S
            out.append(to_wire(probe(probes % PROBES, probes)))
            probes += 1
        if out:
            before = time.perf_counter()
            connection.sendall(b"".join(out))
            blocked = int((time.perf_counter() - before) * 1e6)
            shared[1] = max(shared[1], blocked)
        shared[0] = sent * load.per_frame
        shared[2] = int(time.process_time() * 1000)
        time.sleep(SLICE_S)


def shake_hands(connection: Any) -> tuple[list[str], "_Messages"]:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    connection.sendall(_status("connected", "Connected Successfully"))
    reader = _Messages(connection)
    reader.next()
    connection.sendall(_status("auth_success", "authenticated"))
    text = reader.next().decode()
    channels = text[text.index('"params"') :].split('"')[3].split(",")
    for channel in channels:
        connection.sendall(_status("success", f"subscribed to: {channel}"))
    return channels, reader


class _Messages:
    """Reads the client's few masked messages, and answers its pings."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._data = b""

    def next(self) -> bytes:
        while True:
            head = self._take(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self._take(2))
            elif size == 127:
                size = int.from_bytes(self._take(8))
            mask = self._take(4)
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(self._take(size)))
            if head[0] & 0xF == 1:
                return payload
            if head[0] & 0xF == 9:
                self._connection.sendall(bytes((0x8A, len(payload))) + payload)

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            got = self._connection.recv(65536)
            if not got:
                raise OSError("the client went away")
            self._data += got
        taken, self._data = self._data[:count], self._data[count:]
        return taken


def _status(status: str, message: str) -> bytes:
    return to_wire(
        b'[{"ev":"status","status":"%b","message":"%b"}]' % (status.encode(), message.encode())
    )


def to_wire(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return bytes((0x81, 126)) + size.to_bytes(2) + payload
    return bytes((0x81, 127)) + size.to_bytes(8) + payload
