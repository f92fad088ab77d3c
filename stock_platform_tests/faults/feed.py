"""A vendor's socket that sends numbered trades, so that none can be missed unnoticed."""

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stock_platform_tests.bench.stream_load import shake_hands, to_wire

SYMBOLS = 50
PER_FRAME = 20
SLICE_S = 0.01
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class NumberedFeed:
    """A running feed; `mode` can be changed while it runs."""

    port: int
    _state: Any

    @property
    def host(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def sent(self) -> int:
        return int(self._state[1])

    @property
    def connections(self) -> int:
        return int(self._state[2])

    def be_silent(self) -> None:
        self._state[3] = 1

    def speak(self) -> None:
        self._state[3] = 0


@contextmanager
def numbered_feed(rate: int) -> Iterator[NumberedFeed]:
    """Send `rate` trades a second to whoever subscribes to them."""
    state = _SPAWN.Array("q", 4)
    process = _SPAWN.Process(target=_serve, args=(rate, state), daemon=True)
    process.start()
    while not state[0]:
        time.sleep(0.02)
    try:
        yield NumberedFeed(int(state[0]), state)
    finally:
        process.kill()
        process.join()


def _serve(rate: int, state: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    state[0] = listener.getsockname()[1]
    lock = threading.Lock()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, rate, state, lock), daemon=True).start()


def _talk(connection: socket.socket, rate: int, state: Any, lock: threading.Lock) -> None:
    try:
        channels, _ = shake_hands(connection)
        state[2] += 1
        trades = any(name.startswith("T.") for name in channels)
        started, frames = time.monotonic(), 0
        while True:
            time.sleep(SLICE_S)
            due = int((time.monotonic() - started) * rate / PER_FRAME) if trades else 0
            while frames < due:
                frames += 1
                if not state[3]:
                    with lock:
                        first = state[1]
                        state[1] += PER_FRAME
                    connection.sendall(to_wire(_frame(first)))
            if not trades and not connection.recv(1):
                return
    except OSError:
        return


def _frame(first: int) -> bytes:
    now = time.time_ns() // 1_000_000
    events = [
        b'{"ev":"T","sym":"N%02d","x":4,"i":"%d","z":3,"p":%d.5,"s":100,"t":%d,"q":%d}'
        % (number % SYMBOLS, number, number, now, number)
        for number in range(first, first + PER_FRAME)
    ]
    return b"[" + b",".join(events) + b"]"
