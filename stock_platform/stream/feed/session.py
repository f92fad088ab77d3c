"""One host kept connected: connect, talk, watch, wait, again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from stock_platform.errors import TransientError
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.backoff import ReconnectBackoff
from stock_platform.stream.feed.connection import (
    ConnectionCounts,
    ConnectionOptions,
    FeedConnection,
    OpenOutage,
)
from stock_platform.stream.feed.handshake import Handshake, Notice, closing_status
from stock_platform.stream.feed.websocket import Ended, connect
from stock_platform.stream.options import FeedOptions

if TYPE_CHECKING:
    from stock_platform.stream.feed.reader import Reader

log = structlog.get_logger(__name__)
SECOND = 1.0
PATIENCE_GROWTH_MAX = 16
FIRST_EVENT_S = 5.0
STEADY_S = 10.0
"""A connection that streamed this long was good: who only gets in to be thrown out waits longer."""


class Feed:
    """Keeps one host connected."""

    def __init__(
        self,
        index: int,
        feed: FeedOptions,
        reader: Reader,
    ) -> None:
        self.counts = ConnectionCounts()
        self.name = feed.name
        self.state = "starting"
        self.trouble = ""
        self.channels_refused: list[str] = []
        self._index = index
        self._feed = feed
        self._reader = reader
        self._connection = 0
        self._outage: OpenOutage | None = reader.last_known(index)
        initial, factor, longest = reader.options.backoff
        self._backoff = ReconnectBackoff(initial, factor, longest)
        self._patience = reader.options.channel_silence_s
        self._spoke: set[str] = set()

    async def run(self) -> None:
        """Connect for ever; every end is followed by a wait that grows."""
        while True:
            await self._reader.room()
            notice = await self._live_once()
            terminal = bool(notice and notice.terminal)
            self.state = "refused" if terminal else "waiting"
            self.trouble = notice.explanation if notice else self.trouble
            wait = self._backoff.next_s(random.random(), terminal=terminal)  # noqa: S311 jitter
            if notice and terminal:
                log.error("feed_refused", feed=self.name, why=notice.explanation, wait_s=wait)
            await asyncio.sleep(wait)
            self.counts.reconnects += 1

    async def _live_once(self) -> Notice | None:
        options = self._reader.options
        talk = Handshake(
            options.api_key, self._feed.channels, options.symbols, options.subscribe_batch
        )
        self._connection = max(self._connection + 1, int(time.time()))
        line = FeedConnection(
            self._reader.journal,
            talk,
            self.counts,
            ConnectionOptions(self._index, self._connection, options.debug),
        )
        try:
            socket = await connect(
                f"{self._feed.url}/stocks",
                line.ears,
                engine=options.engine,
                bytes_max=options.frame_bytes_max,
                trust=self._reader.trust,
            )
        except TransientError as error:
            self.trouble = str(error)
            log.warning("feed_unreachable", feed=self.name, reason=str(error))
            return None
        line.begin(socket)
        watch = asyncio.create_task(self._watch(line, talk, socket.ping))
        ended = Ended(1000, "the reader was stopped")
        try:
            await asyncio.wait([socket.ended, watch], return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                # It never ends by itself: whoever failed must not leave a socket unwatched.
                watch.result()
            ended = await socket.ended
        finally:
            self.state = "waiting"
            watch.cancel()
            line.finish()
            self._close(line, ended)
        return line.notice

    async def _watch(self, line: FeedConnection, talk: Handshake, ping: Callable[[], None]) -> None:
        options = self._reader.options
        opened = pinged = time.time()
        noted = 0.0
        while True:
            await asyncio.sleep(SECOND)
            now = time.time()
            if line.heard_at > noted:
                line.note({"event": "alive", "streaming": line.streaming})
                noted = line.heard_at
            if line.streaming:
                self._note_gap(line)
                self._mark_streaming(talk)
                if line.streaming_at and now - line.streaming_at > STEADY_S:
                    self._backoff.reset()
            elif now - opened > options.handshake_s and not talk.accept_partial():
                self._give_up(line, "no answer to the key or the subscriptions")
            if now - pinged >= options.ping_s:
                pinged = now
                ping()
            if now - line.heard_at > options.silence_s:
                self._give_up(line, "nothing heard, not even an answer to a ping")
            self._watch_channels(line, now)

    def _mark_streaming(self, talk: Handshake) -> None:
        if self.state == "streaming":
            return
        self.state = "streaming"
        self.channels_refused = talk.unconfirmed
        log.info("feed_streaming", feed=self.name, channels=sorted(talk.confirmed))
        if talk.unconfirmed:
            # The others go on: perhaps the plan has never included it. But somebody must know.
            log.error("channels_refused", feed=self.name, channels=talk.unconfirmed)

    def _watch_channels(self, line: FeedConnection, now: float) -> None:
        self._spoke |= line.spoke
        line.await_channels()
        if not line.streaming or not self._reader.market_open(now, self._patience):
            return
        silent = [name for name, heard in line.heard.items() if now - heard > self._patience]
        # A channel that never brought anything may not be in the plan: it alone is no alarm.
        spoke = [name for name in silent if name in self._spoke]
        if spoke or (silent and len(silent) == len(line.heard)):
            # Perhaps nobody trades these symbols: each fruitless reconnect doubles the patience.
            self._patience = min(
                self._patience * 2, PATIENCE_GROWTH_MAX * self._reader.options.channel_silence_s
            )
            self._give_up(line, f"no data on {', '.join(silent)}")

    def _give_up(self, line: FeedConnection, why: str) -> None:
        log.error("feed_silent", feed=self.name, reason=why)
        self.trouble = why
        line.notice = Notice("silent", why)
        line.end()

    def _note_gap(self, line: FeedConnection) -> None:
        # From the confirmation on we listen; an event tells the gap's end in the feed's own time.
        if not line.first_frame and time.time() - line.streaming_at < FIRST_EVENT_S:
            return
        self._record_outage(line)

    def _record_outage(self, line: FeedConnection) -> None:
        if self._outage:
            gap = self._outage.to_gap(self.name, list(self._feed.channels), line)
            try:
                gaps.record(self._reader.journal.folder, gap)
            except OSError as error:
                log.error("gap_not_recorded", feed=self.name, reason=error.strerror)
                return
            log.warning("feed_gap", feed=self.name, ms=gap.heard_again - gap.heard_until)
            self._outage = None
        self.trouble = ""

    def _close(self, line: FeedConnection, ended: Ended) -> None:
        line.notice = line.notice or closing_status(line.last_frame)
        reason = line.notice.explanation if line.notice else ended.reason or f"code {ended.code}"
        if line.refused_by_journal:
            reason = "the journal is full"
        line.note({"event": "closed", "code": ended.code, "reason": reason[:200]})
        if line.streaming:
            self._record_outage(line)
            if self._outage:
                return  # not recorded yet: the outage goes on, from where it began
            times = gaps.event_times_ms(line.last_frame)
            self._outage = OpenOutage(line.heard_at, max(times, default=0), reason)
        self.trouble = reason[:200]
        log.warning("feed_closed", feed=self.name, code=ended.code, reason=reason[:200])

    def status(self) -> dict[str, object]:
        """Return how this feed is, for the status file."""
        counts = self.counts
        return {
            "state": self.state,
            "trouble": self.trouble,
            "frames": counts.frames,
            "bytes": counts.bytes,
            "reconnects": counts.reconnects,
            "channels_refused": self.channels_refused,
            "refused_subscriptions": counts.refused_subscriptions,
            "write_ms_max": round(counts.write_ms_max, 3),
        }
