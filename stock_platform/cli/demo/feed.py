"""The demo's live feed: bars from the simulator's socket into the lake, losses included.

Does what the streaming sidecar does in production, at the speed the
simulator replays: the simulated clock stamps connections, so that the log shows
when in those sessions the feed was alive.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import websockets

from stock_platform.errors import TransientError
from stock_platform.stream.events import Bar, Event, decode
from stock_platform.stream.sinks.connections import ConnectionLog
from stock_platform.stream.sinks.minutes import MinuteWriter

RETRY_S = 0.02
CONNECTIONS_MAX = 20_000
"""The simulator turns us away all through an outage."""
SECONDS_MAX = 600.0
CLOSE_EVERY = timedelta(minutes=20)
"""The sidecar closes every minute; a replay at a thousand times the speed does it by batches."""
_DELIVERY = timedelta(seconds=30)


@dataclass(kw_only=True)
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

    def __post_init__(self) -> None:
        self._log = ConnectionLog(self.writer.name)

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
        self._log.save(self.writer.store)

    async def _read(self, socket: websockets.ClientConnection, name: str) -> None:
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "params": self.key}))
        await socket.recv()
        await socket.send(json.dumps({"action": "subscribe", "params": "AM.*"}))
        await socket.recv()
        try:
            while (frame := await self._next(socket)) is not None:
                self._take(decode(frame).events, name)
            self._alive(name, self._clock())
        finally:
            self._log.closed(name, self._latest, self._latest)

    async def _next(self, socket: websockets.ClientConnection) -> bytes | None:
        """Return the next frame; None once the replay is over and nothing more comes."""
        while True:
            try:
                return await asyncio.wait_for(socket.recv(decode=False), 1.0)
            except TimeoutError:
                if self._finished():
                    return None

    def _take(self, events: Sequence[Event], name: str) -> None:
        bars = [event for event in events if isinstance(event, Bar)]
        if not bars:
            return
        newest = datetime.fromtimestamp(max(bar.e for bar in bars) / 1000, UTC)
        if not self._log.has_open(name):
            # A minute's bars leave after its end: who gets them stood in time for that minute.
            self._log.opened(name, "AM", newest - timedelta(minutes=1))
        for bar in bars:
            self.writer.add(bar, max(self._latest, newest))
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
        self._log.alive(name, at)

    def _clock(self) -> datetime:
        return datetime.fromisoformat(self._ask("clock")["replayed"])

    def _finished(self) -> bool:
        return bool(self._ask("stats")["finished"])

    def _ask(self, what: str) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.control_url}/_simulator/{what}") as response:  # noqa: S310 - our own simulator on loopback
            return json.load(response)
