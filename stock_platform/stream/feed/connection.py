"""One host kept connected: connect, handshake, append to the journal, watch, wait, again.

`FeedConnection` lives as long as one connection and owns its socket, its
handshake and what is appended to the journal; `ReconnectingFeed` opens the next one
and records the outage between the two.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from stock_platform.errors import TransientError
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.gaps import OpenOutage
from stock_platform.stream.feed.handshake import Handshake, Notice, Phase, closing_status
from stock_platform.stream.feed.options import ReaderOptions
from stock_platform.stream.feed.websocket import Ended, ReconnectBackoff, Socket, connect
from stock_platform.stream.journal.writer import JournalWriter

log = structlog.get_logger(__name__)
STATUS = b'"status"'
DATA = frozenset({b'[{"ev":"T"', b'[{"ev":"Q"', b'[{"ev":"AM', b'[{"ev":"FM'})
DATA_BYTES = 10
HEAD_BYTES = 96
"""While streaming, a status is looked for at the head of a frame only; in full before that."""
DEBUG_BYTES = 300
REASON_CHARS = 200
WATCH_S = 1.0
SILENCE_GROWTH_MAX = 16
FIRST_EVENT_S = 5.0
STEADY_S = 10.0
"""A connection that streamed this long resets the backoff; one that was only let in does not."""


@dataclass(slots=True, kw_only=True)
class FeedCounts:
    """What one feed has brought since the reader started."""

    frames: int = 0
    bytes: int = 0
    batches: int = 0
    write_ms_max: float = 0.0
    reconnects: int = 0
    refused_subscriptions: int = 0


class FeedConnection:
    """One connection: frames go to the journal in batches, statuses to the handshake."""

    def __init__(
        self,
        journal: JournalWriter,
        options: ReaderOptions,
        counts: FeedCounts,
        *,
        source: tuple[int, int],
        channels: Sequence[str],
    ) -> None:
        self.frames: list[bytes] = []
        """What the socket received since the last write; the socket appends to it."""
        self.handshake = Handshake(
            api_key=options.api_key,
            channels=channels,
            symbols=options.symbols,
            batch=options.subscribe_batch,
        )
        self.notice: Notice | None = None
        """The vendor's last status that explains an end."""
        self.alive_at = time.time()
        """When a frame, ping or pong last came."""
        self.last_frame = b""
        self.first_frame = b""
        """The first frame with an event in it, after the subscriptions were confirmed."""
        self.streaming_at = 0.0
        self.data_at: dict[str, float] = dict.fromkeys(channels, time.time())
        """By channel, when its last event came; before the first one, when we connected."""
        self.channels_seen: set[str] = set()
        self.refused_by_journal = False
        self._journal = journal
        self._options = options
        self._counts = counts
        self._source = source
        self._unseen: set[str] = set(channels)
        self._announced: set[str] = set()
        self._socket: Socket | None = None
        self._finished = False
        self._loop = asyncio.get_running_loop()

    @property
    def streaming(self) -> bool:
        return self.handshake.phase is Phase.STREAMING

    async def open(self, url: str, trust: ssl.SSLContext | None) -> Socket:
        """Connect and send the key; raise `TransientError` when there is no connection."""
        options = self._options
        self._socket = socket = await connect(
            url, self, engine=options.engine, bytes_max=options.frame_bytes_max, trust=trust
        )
        self.append_event({"event": "opened", "channels": list(self.handshake.channels)})
        self.handshake.open()
        self._send_pending()
        return socket

    def wake(self) -> None:
        """Write soon: everything of one loop tick becomes one write."""
        self._loop.call_soon(self.flush)

    def alive(self) -> None:
        """Note a ping or pong: the connection is alive though no data comes."""
        self.alive_at = time.time()

    def flush(self) -> None:
        """Append the received frames; end the connection when the journal refuses them."""
        frames = self.frames.copy()
        if not frames or self._finished:
            return
        self.frames.clear()
        now = time.time()
        if not self._journal.append_frames(*self._source, frames, int(now * 1_000_000)):
            self.refused_by_journal = True
            self.end()
            return
        self.alive_at = now
        counts = self._counts
        counts.batches += 1
        counts.frames += len(frames)
        counts.bytes += sum(map(len, frames))
        counts.write_ms_max = max(counts.write_ms_max, (time.time() - now) * 1000)
        self._inspect(frames)

    def _inspect(self, frames: list[bytes]) -> None:
        suspects, limit = frames, 1 << 30
        if self.streaming:
            # Almost every frame begins with data, and that is the cheapest test of all.
            suspects, limit = [f for f in frames if f[:DATA_BYTES] not in DATA], HEAD_BYTES
        for frame in suspects:
            if frame.find(STATUS, 0, limit) >= 0:
                self._handle_status(frame)
        if self.first_frame:
            self.last_frame = frames[-1]
        if self.streaming and not self.first_frame:
            self.streaming_at = self.streaming_at or self.alive_at
            self.first_frame = next((f for f in frames if gaps.event_times_ms(f)), b"")
        if self._unseen:
            self._mark_channels(frames)
        if self._options.debug:
            for frame in frames:
                log.debug("frame_in", text=frame[:DEBUG_BYTES].decode(errors="replace"))

    def _mark_channels(self, frames: list[bytes]) -> None:
        for channel in tuple(self._unseen):
            tag = f'"{channel}"'.encode()
            if any(tag in frame for frame in frames):
                self.data_at[channel] = self.alive_at
                self.channels_seen.add(channel)
                self._unseen.discard(channel)

    def await_channels(self) -> None:
        """Look for an event of every channel again; called once a second."""
        self._unseen = set(self.handshake.channels)

    def _handle_status(self, frame: bytes) -> None:
        for notice in self.handshake.receive(frame):
            self.notice = notice
            log.warning("feed_status", status=notice.status, message=notice.message)
            if not notice.closing:
                self._counts.refused_subscriptions += 1
            else:
                self.end()
        for channel in sorted(self.handshake.confirmed - self._announced):
            self._announced.add(channel)
            self.append_event({"event": "subscribed", "channel": channel})
        self._send_pending()

    def _send_pending(self) -> None:
        to_send, self.handshake.to_send = self.handshake.to_send, []
        for text in to_send:
            if self._options.debug and b'"auth"' not in text:
                log.debug("frame_out", text=text[:DEBUG_BYTES].decode())
            if self._socket:
                self._socket.send(text)

    def append_event(self, event: dict[str, object]) -> None:
        """Append an event about this connection to the journal."""
        now = int(time.time() * 1_000_000)
        event["heard_at_us"] = int(self.alive_at * 1_000_000)
        self._journal.append_event(*self._source, event, now)

    def end(self) -> None:
        if self._socket:
            self._socket.close()

    def finish(self) -> None:
        """Append what was received and nothing more: the journal may be closed after this."""
        self.flush()
        self._finished = True
        self.end()


class ReconnectingFeed:
    """Keeps one host connected; `ready` returns once the journal has room."""

    def __init__(
        self,
        index: int,
        journal: JournalWriter,
        options: ReaderOptions,
        *,
        outage: OpenOutage | None,
        ready: Callable[[], Awaitable[None]],
        trust: ssl.SSLContext | None,
    ) -> None:
        self.counts = FeedCounts()
        self.state = "starting"
        self.error = ""
        self.channels_refused: list[str] = []
        self._index = index
        self._feed = options.feeds[index]
        self._journal = journal
        self._options = options
        self._outage = outage
        self._ready = ready
        self._trust = trust
        self._number = 0
        initial_ms, factor, max_ms = options.backoff
        self._backoff = ReconnectBackoff(initial_ms=initial_ms, factor=factor, max_ms=max_ms)
        self._channel_silence_s = options.channel_silence_s
        self._channels_seen: set[str] = set()

    @property
    def name(self) -> str:
        return self._feed.name

    async def run(self) -> None:
        """Connect for ever; every end is followed by a wait that grows."""
        while True:
            await self._ready()
            notice = await self._connect_once()
            terminal = bool(notice and notice.terminal)
            self.state = "refused" if terminal else "waiting"
            self.error = notice.explanation if notice else self.error
            wait = self._backoff.next_s(random.random(), terminal=terminal)  # noqa: S311 jitter
            if notice and terminal:
                log.error("feed_refused", feed=self.name, why=notice.explanation, wait_s=wait)
            await asyncio.sleep(wait)
            self.counts.reconnects += 1

    async def _connect_once(self) -> Notice | None:
        self._number = max(self._number + 1, int(time.time()))
        line = FeedConnection(
            self._journal,
            self._options,
            self.counts,
            source=(self._index, self._number),
            channels=self._feed.channels,
        )
        try:
            socket = await line.open(f"{self._feed.url}/stocks", self._trust)
        except TransientError as error:
            self.error = str(error)
            log.warning("feed_unreachable", feed=self.name, reason=str(error))
            return None
        watch = asyncio.create_task(self._watch(line, socket.ping))
        ended = Ended(1000, "the reader was stopped")
        try:
            await asyncio.wait([socket.ended, watch], return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                # It never ends by itself: a failed watch must not leave a socket unwatched.
                watch.result()
            ended = await socket.ended
        finally:
            self.state = "waiting"
            watch.cancel()
            line.finish()
            self._close(line, ended)
        return line.notice

    async def _watch(self, line: FeedConnection, ping: Callable[[], None]) -> None:
        options = self._options
        opened = pinged = time.time()
        noted = 0.0
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.time()
            if line.alive_at > noted:
                line.append_event({"event": "alive", "streaming": line.streaming})
                noted = line.alive_at
            if line.streaming:
                # An event shows the gap's end in the feed's own time: wait a little for one.
                if line.first_frame or now - line.streaming_at >= FIRST_EVENT_S:
                    self._record_outage(line)
                self._mark_streaming(line.handshake)
                if line.streaming_at and now - line.streaming_at > STEADY_S:
                    self._backoff.reset()
            elif now - opened > options.handshake_s and not line.handshake.accept_partial():
                self._abandon(line, "no answer to the key or the subscriptions")
            if now - pinged >= options.ping_s:
                pinged = now
                ping()
            if now - line.alive_at > options.silence_s:
                self._abandon(line, "nothing received, not even an answer to a ping")
            self._watch_channels(line, now)

    def _mark_streaming(self, handshake: Handshake) -> None:
        if self.state == "streaming":
            return
        self.state = "streaming"
        self.channels_refused = handshake.unconfirmed
        log.info("feed_streaming", feed=self.name, channels=sorted(handshake.confirmed))
        if handshake.unconfirmed:
            # The others go on: perhaps the plan never included it. An operator decides.
            log.error("channels_refused", feed=self.name, channels=handshake.unconfirmed)

    def _watch_channels(self, line: FeedConnection, now: float) -> None:
        self._channels_seen |= line.channels_seen
        line.await_channels()
        limit_s = self._channel_silence_s
        if not line.streaming or not self._options.market_open(now, limit_s):
            return
        silent = [name for name, at in line.data_at.items() if now - at > limit_s]
        # A channel that never brought anything may not be in the plan: it alone is no alarm.
        known = [name for name in silent if name in self._channels_seen]
        if known or (silent and len(silent) == len(line.data_at)):
            # Perhaps nobody trades these symbols: each fruitless reconnect doubles the limit.
            self._channel_silence_s = min(
                limit_s * 2, SILENCE_GROWTH_MAX * self._options.channel_silence_s
            )
            self._abandon(line, f"no data on {', '.join(silent)}")

    def _abandon(self, line: FeedConnection, why: str) -> None:
        log.error("feed_silent", feed=self.name, reason=why)
        self.error = why
        line.notice = Notice("silent", why)
        line.end()

    def _record_outage(self, line: FeedConnection) -> None:
        if self._outage:
            gap = self._outage.to_gap(self._feed, line.streaming_at, line.first_frame)
            try:
                gaps.record(self._journal.folder, gap)
            except OSError as error:
                log.error("gap_not_recorded", feed=self.name, reason=error.strerror)
                return
            log.warning("feed_gap", feed=self.name, ms=gap.first_received - gap.last_received)
            self._outage = None
        self.error = ""

    def _close(self, line: FeedConnection, ended: Ended) -> None:
        line.notice = line.notice or closing_status(line.last_frame)
        reason = line.notice.explanation if line.notice else ended.reason or f"code {ended.code}"
        if line.refused_by_journal:
            reason = "the journal is full"
        line.append_event({"event": "closed", "code": ended.code, "reason": reason[:REASON_CHARS]})
        if line.streaming:
            self._record_outage(line)
            if self._outage:
                return  # not recorded yet: the outage goes on, from where it began
            times = gaps.event_times_ms(line.last_frame)
            self._outage = OpenOutage(line.alive_at, max(times, default=0), reason)
        self.error = reason[:REASON_CHARS]
        log.warning("feed_closed", feed=self.name, code=ended.code, reason=reason[:REASON_CHARS])

    def status(self) -> dict[str, object]:
        """Return this feed's facts for the status file."""
        counts = self.counts
        return {
            "state": self.state,
            "trouble": self.error,
            "frames": counts.frames,
            "bytes": counts.bytes,
            "reconnects": counts.reconnects,
            "channels_refused": self.channels_refused,
            "refused_subscriptions": counts.refused_subscriptions,
            "write_ms_max": round(counts.write_ms_max, 3),
        }
