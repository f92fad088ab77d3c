"""The consumer that brings minute bars and the connection log to the lake."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from stock_platform.errors import PlatformError, TransientError
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.settings import LakeSettings, MarketSettings
from stock_platform.stream import status
from stock_platform.stream.events import Bar, decode
from stock_platform.stream.journal import checkpoints, consumer
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.sinks.connections import Interval
from stock_platform.stream.sinks.minutes import RESENDS_WAIT, MinuteWriter

log = structlog.get_logger(__name__)
NAME = "bars"
BAR_FEED = 0
BAR_TAG = b'"AM"'
CLOSE_S = 5.0
"""Bars come 1-3 s after their minute; what comes later goes into a further part."""
CONNECTIONS_S = 15.0


@dataclass(frozen=True, slots=True)
class BarsOptions:
    """What the consumer is told."""

    journal: Path
    lake: LakeSettings
    market: MarketSettings
    writer: str
    feeds: tuple[str, ...]
    covers_market: bool
    """Whether every symbol the lake expects is subscribed: only then is silence evidence."""
    debug: bool = False


class _Heard(msgspec.Struct):
    event: str
    heard_at_us: int = 0
    channel: str = ""


class LakeBarsSink:
    """Collects AM events and writes their minutes when these are over."""

    name = NAME
    tick_s = 1.0

    def __init__(self, options: BarsOptions, store: ObjectStore) -> None:
        self._options = options
        self._writer = MinuteWriter(store, options.market.calendar(), options.writer)
        self._held_from: dict[int, int] = {}
        self._close_at = self._connections_at = 0.0
        self._bars = self._parts = self._malformed = 0
        self._last_minute: datetime | None = None
        self._remember(checkpoints.load(options.journal, NAME))

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind == Kind.EVENT:
                self._hear(record)
            elif record.feed == BAR_FEED:
                self._take_data(record)

    def flush(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._close_at:
                self._close_at = now + CLOSE_S
                self._close(datetime.now(UTC) - timedelta(seconds=CLOSE_S))
            if now >= self._connections_at:
                self._connections_at = now + CONNECTIONS_S
                self._writer.write_connections()
        except (PlatformError, OSError) as error:
            self._close_at = self._connections_at = 0.0
            raise TransientError(f"the lake does not take bars: {error}") from error

    def checkpoint(self, taken: int) -> Checkpoint | None:
        # What is held is only in the journal: begin again at its first record.
        offset = min(self._held_from.values(), default=taken)
        return Checkpoint(
            offset, msgspec.Raw(msgspec.json.encode(self._writer.connections.lasting))
        )

    def drain(self) -> bool:
        self._close_at = self._connections_at = 0.0
        self.flush()
        try:
            # What was re-sent is not kept for the next minute: there may be no next one.
            self._close(datetime.now(UTC), resends_wait=timedelta(0))
        except (PlatformError, OSError):
            return False
        return not self._writer.held

    def status(self) -> dict[str, object]:
        return {
            "bars": self._bars,
            "parts": self._parts,
            "rejected": self._writer.rejected,
            "malformed": self._malformed,
            "held": self._writer.held,
            "last_minute": self._last_minute.isoformat() if self._last_minute else None,
        }

    def _take_data(self, record: Record) -> None:
        received = datetime.fromtimestamp(record.received_at_us / 1e6, UTC)
        self._writer.connections.alive(self._connection(record), received)
        for frame in record.frames():
            if BAR_TAG not in frame:
                continue
            decoded = decode(frame)
            self._malformed += len(decoded.malformed)
            for event in decoded.events:
                if isinstance(event, Bar):
                    self._bars += 1
                    self._held_from.setdefault(event.s, record.start)
                    self._writer.add(msgspec.to_builtins(event), received)

    def _hear(self, record: Record) -> None:
        try:
            heard = msgspec.json.decode(record.payload, type=_Heard)
        except msgspec.MsgspecError:
            self._malformed += 1
            return
        at = datetime.fromtimestamp(record.received_at_us / 1e6, UTC)
        until = datetime.fromtimestamp(heard.heard_at_us / 1e6, UTC)
        connection = self._connection(record)
        connections = self._writer.connections
        if heard.event == "subscribed":
            partly = heard.channel == "AM" and not self._options.covers_market
            connections.opened(connection, "AM.partly" if partly else heard.channel, at)
        elif heard.event == "opened":
            connections.replaced(connection, self._options.feeds[record.feed], at)
        elif heard.event == "closed":
            connections.closed(connection, until, at)
            self._connections_at = 0.0
        else:
            connections.alive(connection, until)

    def _connection(self, record: Record) -> str:
        return f"{self._options.feeds[record.feed]}-{record.connection}"

    def _close(self, instant: datetime, *, resends_wait: timedelta = RESENDS_WAIT) -> None:
        parts = self._writer.close_before(instant, resends_wait=resends_wait)
        self._parts += len(parts)
        if parts:
            self._last_minute = max(part.minute for part in parts)
        held = {round(minute.timestamp() * 1000) for minute in self._writer.minutes_held}
        self._held_from = {s: at for s, at in self._held_from.items() if s in held}

    def _remember(self, found: Checkpoint | None) -> None:
        if found is not None and found.state:
            lasting = msgspec.json.decode(found.state, type=list[Interval] | None)
            self._writer.connections.resume(lasting or [])


def run_bars(options: BarsOptions) -> None:
    """Be the bars consumer's process."""
    status.configure_logs(debug=options.debug)
    consumer.run_consumer(options.journal, LakeBarsSink(options, open_store(options.lake)))
