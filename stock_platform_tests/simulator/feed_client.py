"""A patient client of the simulated sockets, for tests: it keeps everything it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from stock_platform.simulator.server import Simulator


@dataclass
class Told:
    """What a connection brought until it ended or fell quiet."""

    events: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    frames: list[list[dict[str, Any]]] = field(default_factory=list)
    close_code: int | None = None
    """None when it was still open, 1006 when it broke without a word."""

    def take(self, raw: str | bytes) -> None:
        frame = json.loads(raw)
        self.frames.append(frame)
        for item in frame:
            (self.statuses if item["ev"] == "status" else self.events).append(item)

    def keys(self) -> set[tuple[str, int]]:
        """Give (symbol, start) of the bars."""
        return {(event["sym"], event["s"]) for event in self.events if event["ev"] == "AM"}

    def status_names(self) -> list[str]:
        return [item["status"] for item in self.statuses]


@contextmanager
def opened(url: str) -> Iterator[ClientConnection]:
    with connect(f"{url}/stocks", max_size=None, compression=None, close_timeout=1) as socket:
        yield socket


@contextmanager
def subscribed(
    simulator: Simulator, *channels: str, delayed: bool = False
) -> Iterator[ClientConnection]:
    """Connect, authenticate and subscribe; the acknowledgements are still to be read."""
    url = simulator.ws_url_delayed if delayed else simulator.ws_url_realtime
    with opened(url) as socket:
        socket.recv(timeout=5)
        say(socket, "auth", simulator.keys.massive[0])
        socket.recv(timeout=5)
        say(socket, "subscribe", ",".join(channels))
        yield socket


def say(socket: ClientConnection, action: str, params: str) -> None:
    socket.send(json.dumps({"action": action, "params": params}))


def hear(socket: ClientConnection, *, quiet_s: float = 1.0, frames_max: int = 10**9) -> Told:
    """Read until the connection ends, `quiet_s` pass without a frame, or `frames_max` came."""
    told = Told()
    try:
        while len(told.frames) < frames_max:
            told.take(socket.recv(timeout=quiet_s))
    except TimeoutError:
        return told
    except ConnectionClosed as closed:
        told.close_code = closed.rcvd.code if closed.rcvd else 1006
    return told


def hear_all(simulator: Simulator, *channels: str, delayed: bool = False) -> Told:
    """Subscribe again after every disconnect until the whole replay is over."""
    whole = Told()
    while not simulator.finished.is_set():
        try:
            with subscribed(simulator, *channels, delayed=delayed) as socket:
                part = hear(socket, quiet_s=0.5)
        except (ConnectionClosed, OSError, TimeoutError, EOFError):
            continue
        whole.events += part.events
        whole.statuses += part.statuses
        whole.frames += part.frames
    return whole
