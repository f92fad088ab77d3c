"""One connection: frames to the journal in batches, statuses heard, silence noticed."""

import asyncio
import time
from dataclasses import dataclass

import structlog

from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.handshake import Handshake, Notice, Phase
from stock_platform.stream.feed.websocket import FrameHandler, Socket
from stock_platform.stream.journal.writer import JournalWriter

log = structlog.get_logger(__name__)
STATUS = b'"status"'
DATA = frozenset({b'[{"ev":"T"', b'[{"ev":"Q"', b'[{"ev":"AM', b'[{"ev":"FM'})
DATA_BYTES = 10
HEAD_BYTES = 96
"""While streaming, a status is looked for at the head of a frame only; in full before that."""
DEBUG_BYTES = 300


@dataclass(slots=True)
class ConnectionCounts:
    """What one feed has brought since the reader started."""

    frames: int = 0
    bytes: int = 0
    batches: int = 0
    write_ms_max: float = 0.0
    reconnects: int = 0
    refused_subscriptions: int = 0


@dataclass(slots=True)
class ConnectionOptions:
    """Who we are on this line."""

    feed: int
    connection: int
    debug: bool = False


class FeedConnection:
    """Lives as long as one connection."""

    def __init__(
        self,
        journal: JournalWriter,
        talk: Handshake,
        counts: ConnectionCounts,
        options: ConnectionOptions,
    ) -> None:
        self.notice: Notice | None = None
        """The last thing the vendor said that explains an end."""
        self.heard_at = time.time()
        self.last_frame = b""
        self.first_frame = b""
        """The first frame with an event in it, after the subscriptions were confirmed."""
        self.streaming_at = 0.0
        self.heard: dict[str, float] = dict.fromkeys(talk.channels, time.time())
        self.spoke: set[str] = set()
        self.refused_by_journal = False
        self._journal = journal
        self._talk = talk
        self._counts = counts
        self._options = options
        self._frames: list[bytes] = []
        self._awaited: set[str] = set(talk.channels)
        self._announced: set[str] = set()
        self._socket: Socket | None = None
        self._finished = False
        self._loop = asyncio.get_running_loop()

    @property
    def ears(self) -> FrameHandler:
        return FrameHandler(self._frames, self._wake, self.live)

    @property
    def streaming(self) -> bool:
        return self._talk.phase is Phase.STREAMING

    def begin(self, socket: Socket) -> None:
        """Say who we are; called once the socket is open."""
        self._socket = socket
        self.note({"event": "opened", "channels": list(self._talk.channels)})
        self._talk.open()
        self._speak()

    def _wake(self) -> None:
        # Everything of one loop tick becomes one write.
        self._loop.call_soon(self.flush)

    def live(self) -> None:
        """Take a ping or pong: the connection is alive though nothing is sent."""
        self.heard_at = time.time()

    def flush(self) -> None:
        """Write what was heard; when the journal refuses it, end the connection."""
        frames = self._frames.copy()
        if not frames or self._finished:
            return
        self._frames.clear()
        now = time.time()
        options = self._options
        if not self._journal.append_frames(
            options.feed, options.connection, frames, int(now * 1_000_000)
        ):
            self.refused_by_journal = True
            self.end()
            return
        self.heard_at = now
        counts = self._counts
        counts.batches += 1
        counts.frames += len(frames)
        counts.bytes += sum(map(len, frames))
        counts.write_ms_max = max(counts.write_ms_max, (time.time() - now) * 1000)
        self._look(frames)

    def _look(self, frames: list[bytes]) -> None:
        suspects, limit = frames, 1 << 30
        if self.streaming:
            # Almost every frame begins with data, and that is the cheapest to ask of each.
            suspects, limit = [f for f in frames if f[:DATA_BYTES] not in DATA], HEAD_BYTES
        for frame in suspects:
            if frame.find(STATUS, 0, limit) >= 0:
                self._converse(frame)
        if self.first_frame:
            self.last_frame = frames[-1]
        if self.streaming and not self.first_frame:
            self.streaming_at = self.streaming_at or self.heard_at
            self.first_frame = next((f for f in frames if gaps.event_times_ms(f)), b"")
        if self._awaited:
            self._tick_off(frames)
        if self._options.debug:
            for frame in frames:
                log.debug("frame_in", text=frame[:DEBUG_BYTES].decode(errors="replace"))

    def _tick_off(self, frames: list[bytes]) -> None:
        for channel in tuple(self._awaited):
            tag = f'"{channel}"'.encode()
            if any(tag in frame for frame in frames):
                self.heard[channel] = self.heard_at
                self.spoke.add(channel)
                self._awaited.discard(channel)

    def await_channels(self) -> None:
        """Look for a sign of every channel again; called once a second."""
        self._awaited = set(self._talk.channels)

    def _converse(self, frame: bytes) -> None:
        for notice in self._talk.hear(frame):
            self.notice = notice
            log.warning("feed_said", status=notice.status, message=notice.message)
            if not notice.closing:
                self._counts.refused_subscriptions += 1
            else:
                self.end()
        for channel in sorted(self._talk.confirmed - self._announced):
            self._announced.add(channel)
            self.note({"event": "subscribed", "channel": channel})
        self._speak()

    def _speak(self) -> None:
        to_send, self._talk.to_send = self._talk.to_send, []
        for text in to_send:
            if self._options.debug and b'"auth"' not in text:
                log.debug("frame_out", text=text[:DEBUG_BYTES].decode())
            if self._socket:
                self._socket.send(text)

    def note(self, event: dict[str, object]) -> None:
        """Write an event about this connection to the journal."""
        options = self._options
        now = int(time.time() * 1_000_000)
        event["heard_at_us"] = int(self.heard_at * 1_000_000)
        self._journal.append_event(options.feed, options.connection, event, now)

    def end(self) -> None:
        if self._socket:
            self._socket.close()

    def finish(self) -> None:
        """Write what was heard and take nothing more: the journal may be closed after this."""
        self.flush()
        self._finished = True
        self.end()


@dataclass(slots=True)
class OpenOutage:
    """The end of one connection, kept until the feed is heard again."""

    heard_until: float
    last_event: int
    reason: str

    def to_gap(self, feed: str, channels: list[str], again: FeedConnection) -> gaps.FeedOutage:
        """Return the manifest's line once the feed is heard again."""
        times = gaps.event_times_ms(again.first_frame)
        return gaps.FeedOutage(
            feed,
            channels,
            int(self.heard_until * 1000),
            int(again.streaming_at * 1000),
            self.reason,
            self.last_event,
            min(times, default=0),
        )
