"""The sink that writes minute bars and the connection log to the lake."""

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
from stock_platform.stream import runtime
from stock_platform.stream.events import Bar, decode
from stock_platform.stream.journal import checkpoints, consumer
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.sinks.connections import ConnectionLog, Interval
from stock_platform.stream.sinks.minutes import RESENDS_WAIT, MinuteWriter

log = structlog.get_logger(__name__)
NAME = "bars"
BAR_FEED = 0
BAR_TAG = b'"AM"'
CLOSE_S = 5.0
"""Bars come 1-3 s after their minute; what comes later goes into a further part."""
CONNECTIONS_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsOptions:
    """The options of the process."""

    journal: Path
    lake: LakeSettings
    market: MarketSettings
    writer: str
    feeds: tuple[str, ...]
    covers_market: bool
    """Whether every symbol the lake expects is subscribed: only then is silence evidence."""
    debug: bool = False


class _ConnectionEvent(msgspec.Struct):
    event: str
    alive_at_us: int = msgspec.field(default=0, name="heard_at_us")
    channel: str = ""


class LakeBarsSink:
    """Collects AM events and writes their minutes when these are over."""

    name = NAME
    tick_s = 1.0

    def __init__(self, options: BarsOptions, store: ObjectStore) -> None:
        self._options = options
        self._store = store
        self._minutes = MinuteWriter(store, options.market.calendar(), options.writer)
        self._connections = ConnectionLog(options.writer)
        self._held_from: dict[int, int] = {}
        self._close_at = self._connections_at = 0.0
        self._bars = self._parts = self._malformed = 0
        self._last_minute: datetime | None = None
        self._resume(checkpoints.load(options.journal, NAME))

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind == Kind.EVENT:
                self._add_event(record)
            elif record.feed == BAR_FEED:
                self._add_frames(record)

    def flush(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._close_at:
                self._close_at = now + CLOSE_S
                self._close(datetime.now(UTC) - timedelta(seconds=CLOSE_S))
            if now >= self._connections_at:
                self._connections_at = now + CONNECTIONS_S
                self._connections.save(self._store)
        except (PlatformError, OSError) as error:
            self._close_at = self._connections_at = 0.0
            raise TransientError(f"the lake refuses bars: {error}") from error

    def checkpoint(self, offset: int) -> Checkpoint | None:
        # What is held is only in the journal: begin again at its first record.
        offset = min(self._held_from.values(), default=offset)
        return Checkpoint(offset, msgspec.Raw(msgspec.json.encode(self._connections.lasting)))

    def drain(self) -> bool:
        self._close_at = self._connections_at = 0.0
        self.flush()
        try:
            # What was re-sent is not kept for the next minute: there may be no next one.
            self._close(datetime.now(UTC), resends_wait=timedelta(0))
        except (PlatformError, OSError):
            return False
        return not self._minutes.held

    def status(self) -> dict[str, object]:
        return {
            "bars": self._bars,
            "parts": self._parts,
            "rejected": self._minutes.rejected,
            "malformed": self._malformed,
            "held": self._minutes.held,
            "last_minute": self._last_minute.isoformat() if self._last_minute else None,
        }

    def _add_frames(self, record: Record) -> None:
        received = datetime.fromtimestamp(record.received_at_us / 1e6, UTC)
        self._connections.alive(self._connection(record), received)
        for frame in record.frames():
            if BAR_TAG not in frame:
                continue
            decoded = decode(frame)
            self._malformed += len(decoded.malformed)
            for event in decoded.events:
                if isinstance(event, Bar):
                    self._bars += 1
                    self._held_from.setdefault(event.s, record.start)
                    self._minutes.add(event, received)

    def _add_event(self, record: Record) -> None:
        try:
            event = msgspec.json.decode(record.payload, type=_ConnectionEvent)
        except msgspec.MsgspecError:
            self._malformed += 1
            return
        at = datetime.fromtimestamp(record.received_at_us / 1e6, UTC)
        until = datetime.fromtimestamp(event.alive_at_us / 1e6, UTC)
        connection = self._connection(record)
        if event.event == "subscribed":
            partly = event.channel == "AM" and not self._options.covers_market
            self._connections.opened(connection, "AM.partly" if partly else event.channel, at)
        elif event.event == "opened":
            self._connections.replaced(connection, self._options.feeds[record.feed], at)
        elif event.event == "closed":
            self._connections.closed(connection, until, at)
            self._connections_at = 0.0
        else:
            self._connections.alive(connection, until)

    def _connection(self, record: Record) -> str:
        return f"{self._options.feeds[record.feed]}-{record.connection}"

    def _close(self, instant: datetime, *, resends_wait: timedelta = RESENDS_WAIT) -> None:
        parts = self._minutes.close_before(instant, resends_wait=resends_wait)
        self._parts += len(parts)
        if parts:
            self._last_minute = max(part.minute for part in parts)
        held = {round(minute.timestamp() * 1000) for minute in self._minutes.minutes_held}
        self._held_from = {s: at for s, at in self._held_from.items() if s in held}

    def _resume(self, found: Checkpoint | None) -> None:
        if found is not None and found.state:
            lasting = msgspec.json.decode(found.state, type=list[Interval] | None)
            self._connections.resume(lasting or [])


def run_bars(options: BarsOptions) -> None:
    """Run the process of the lake's minute bars."""
    runtime.configure_logs(debug=options.debug)
    consumer.run_consumer(options.journal, LakeBarsSink(options, open_store(options.lake)))
