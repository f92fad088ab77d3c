"""The demo's live feed: bars from the simulator's socket into the lake, losses included.

Plays the part that the streaming sidecar has in production, at the speed the
simulator replays: the simulated clock stamps connections, so that the log says
when in those sessions the feed was alive.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import websockets

from stock_platform.errors import TransientError
from stock_platform.stream.sinks.minutes import MinuteWriter

RETRY_S = 0.02
CONNECTIONS_MAX = 20_000
"""The simulator turns us away all through an outage."""
SECONDS_MAX = 600.0
CLOSE_EVERY = timedelta(minutes=20)
"""The sidecar closes every minute; a replay at a thousand times the speed does it by batches."""
_DELIVERY = timedelta(seconds=30)


@dataclass(slots=True)
class Recorder:
    """Records the simulated feed until it has finished."""

    url: str
    control_url: str
    key: str
    writer: MinuteWriter
    progress: Callable[[datetime], None] = lambda at: None
    events: int = 0
    parts: int = 0
    connections: int = 0
    _latest: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))
    _closed: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))

    def record(self) -> None:
        """Read every session; reconnect after every loss, as often as it takes."""
        asyncio.run(asyncio.wait_for(self._record(), SECONDS_MAX))

    async def _record(self) -> None:
        while not self._finished():
            self.connections += 1
            if self.connections > CONNECTIONS_MAX:
                raise TransientError(f"the simulated feed dropped {CONNECTIONS_MAX} connections")
            try:
                async with websockets.connect(f"{self.url}/stocks", max_size=None) as socket:
                    await self._read(socket, f"demo-{self.connections}")
            except (OSError, websockets.WebSocketException):
                await asyncio.sleep(RETRY_S)
        self.parts += len(self.writer.close_before(datetime.max.replace(tzinfo=UTC)))
        self.writer.write_connections()

    async def _read(self, socket: websockets.ClientConnection, name: str) -> None:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "params": self.key}))
        await socket.recv()
        await socket.send(json.dumps({"action": "subscribe", "params": "AM.*"}))
        await socket.recv()
        try:
            while (frame := await self._next(socket)) is not None:
                self._take(msgspec.json.decode(frame), name)
            self._alive(name, self._clock())
        finally:
            self.writer.connections.closed(name, self._latest, self._latest)

    async def _next(self, socket: websockets.ClientConnection) -> str | bytes | None:
        """Return the next frame; None once the replay is over and nothing more comes."""
        while True:
            try:
                return await asyncio.wait_for(socket.recv(), 1.0)
            except TimeoutError:
                if self._finished():
                    return None

    def _take(self, events: list[dict[str, Any]], name: str) -> None:
        bars = [event for event in events if event["ev"] == "AM"]
        if not bars:
            return
        newest = datetime.fromtimestamp(max(event["e"] for event in bars) / 1000, UTC)
        if not self.writer.connections.knows(name):
            # A minute's bars leave after its end: who gets them stood in time for that minute.
            self.writer.connections.opened(name, "AM", newest - timedelta(minutes=1))
        for event in bars:
            self.writer.add(event, max(self._latest, newest))
        self.events += len(bars)
        if newest > self._latest:
            self._alive(name, newest + _DELIVERY)
            if newest - self._closed >= CLOSE_EVERY:
                self.parts += len(self.writer.close_before(newest - timedelta(minutes=1)))
                self._closed = newest

    def _alive(self, name: str, at: datetime) -> None:
        if at.date() != self._latest.date():
            self.progress(at)
        self._latest = max(self._latest, at)
        self.writer.connections.alive(name, at)

    def _clock(self) -> datetime:
        return datetime.fromisoformat(self._ask("clock")["replayed"])

    def _finished(self) -> bool:
        return bool(self._ask("stats")["finished"])

    def _ask(self, what: str) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.control_url}/_simulator/{what}") as response:  # noqa: S310 - our own simulator on loopback
            return json.load(response)
