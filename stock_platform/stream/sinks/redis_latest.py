"""The sink that keeps the newest value of each key in Redis."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from stock_platform.errors import PlatformError, TransientError
from stock_platform.stream import runtime
from stock_platform.stream.events import decode
from stock_platform.stream.journal import consumer
from stock_platform.stream.journal.checkpoints import Checkpoint, write_atomically
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.journal.segments import segments
from stock_platform.stream.sinks.conflation import Conflator, Lifetimes, Update
from stock_platform.stream.sinks.redis_store import LeaseLostError, ValueStore, open_value_store

log = structlog.get_logger(__name__)
NAME = "latest"
LEASE_FILE = "lease.json"
TICKS_A_FLUSH = 5
"""How often within a flush interval the next one may begin: one that has to wait waits little."""
SWITCH_S = 0.0005
"""How long decoding may keep the thread that writes to Redis waiting for the interpreter."""
CATCH_UP_S = 2.0
"""The longest wait, after a start, for what an earlier process may have set already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestOptions:
    """The options of the process."""

    journal: Path
    redis_url: str = field(repr=False)
    redis_token: str = field(repr=False, default="")
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    flush_s: float = 0.05
    values_per_s: int = 100_000
    publish: bool = False
    debug: bool = False


class Fence(msgspec.Struct, frozen=True):
    """The lease this sidecar holds, in a file for its consumers; an empty fence is not checked."""

    key: str = "stock:lease"
    fence: str = ""


def save_fence(journal: Path, fence: Fence) -> None:
    write_atomically(journal / LEASE_FILE, msgspec.json.encode(fence))


def load_fence(journal: Path) -> Fence:
    try:
        return msgspec.json.decode((journal / LEASE_FILE).read_bytes(), type=Fence)
    except FileNotFoundError:
        return Fence()


class LatestSink:
    """Conflates events and sets the changed keys, once per flush.

    While Redis processes one flush the next one gathers: a slow Redis, or a feed with more
    changes than `values_per_s`, makes flushes fewer and larger, never the reading slower.
    """

    name = NAME

    def __init__(self, options: LatestOptions, values: ValueStore) -> None:
        self.tick_s = options.flush_s / TICKS_A_FLUSH
        self._options = options
        self._values = values
        self._conflator = Conflator(options.lifetimes)
        self._fence = load_fence(options.journal)
        self._running: _Flush | None = None
        self._thread = ThreadPoolExecutor(1, "redis")
        self._flush_at = 0.0
        self._failing = False
        self._added = self._delivered = 0
        # An earlier process may have set values up to here. Their keys are read back, but Redis
        # holds no sequence and no order of arrival: set nothing before all is read again.
        self._repeats_until = max((each.end for each in segments(options.journal)), default=0)
        self._catch_up_by = time.monotonic() + CATCH_UP_S
        self._events = self._unknown = self._malformed = self._written = 0
        self._received_at_us = 0
        self._delay_ms = 0.0
        self._flush_ms = 0.0

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind == Kind.DATA:
                for frame in record.frames():
                    decoded = decode(frame)
                    self._events += len(decoded.events)
                    self._unknown += decoded.unknown
                    self._malformed += len(decoded.malformed)
                    self._conflator.add(decoded.events)
        self._added = records[-1].end
        self._received_at_us = records[-1].received_at_us

    def flush(self) -> None:
        if self._running and not self._running.result.done():
            return
        self._collect_result()
        if self._added < self._repeats_until and time.monotonic() < self._catch_up_by:
            return
        waiting, now = self._conflator.waiting, time.monotonic()
        if waiting and now < self._flush_at and not self._failing:
            return
        if waiting:
            pause = max(self._options.flush_s, waiting / self._options.values_per_s)
            self._flush_at = now + pause
            self._seed_unverified()
            self._set(self._conflator.drain(datetime.now(UTC)))
            if self._failing:
                # Until it works again: at once, so that the trouble is reported until it is over.
                self._collect_result()
        else:
            self._delivered = self._added

    def checkpoint(self, offset: int) -> Checkpoint | None:
        return Checkpoint(self._delivered) if self._delivered else None

    def drain(self) -> bool:
        return not self._conflator.waiting and not self._running

    def status(self) -> dict[str, object]:
        return {
            "events": self._events,
            "unknown": self._unknown,
            "malformed": self._malformed,
            "written": self._written,
            "older": self._conflator.older,
            "refused_symbols": self._conflator.refused_symbols,
            "delay_ms": round(self._delay_ms, 2),
            "flush_ms": round(self._flush_ms, 2),
        }

    def close(self) -> None:
        """End the flush under way and the connection."""
        self._thread.shutdown()
        self._values.close()

    def _seed_unverified(self) -> None:
        keys = self._conflator.unverified_keys()
        if not keys:
            return
        try:
            stored = self._values.get(keys)
        except PlatformError as error:
            raise TransientError(str(error)) from error
        self._conflator.seed(stored)

    def _set(self, updates: list[Update]) -> None:
        lease = (self._fence.key, self._fence.fence)
        started = time.time()

        def put() -> float:
            self._values.put(updates, lease)
            return time.time()

        result = self._thread.submit(put)
        self._running = _Flush(
            updates=updates,
            offset=self._added,
            received_at_us=self._received_at_us,
            started=started,
            result=result,
        )

    def _collect_result(self) -> None:
        """Take over the result of the last flush; raise `TransientError` when it failed."""
        flush, self._running = self._running, None
        if not flush:
            return
        self._failing = True
        try:
            ended = flush.result.result()
        except LeaseLostError as error:
            self._conflator.requeue()
            known = load_fence(self._options.journal)
            if known != self._fence:
                self._fence = known
                self._conflator.invalidate()
            raise TransientError("the lease belongs to another sidecar: nothing is set") from error
        except PlatformError as error:
            # A wrong token or an error of Redis is fixed outside; the journal keeps the rest.
            self._conflator.requeue()
            raise TransientError(str(error)) from error
        self._failing = False
        self._conflator.confirm()
        self._delivered = flush.offset
        self._delay_ms = (ended * 1e6 - flush.received_at_us) / 1000
        self._flush_ms = (ended - flush.started) * 1000
        self._written += sum(len(update.keys) for update in flush.updates)
        if self._options.debug:
            for update in flush.updates:
                for key in update.keys:
                    log.debug("redis_write", key=key.decode(), ttl_s=update.ttl_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flush:
    """A flush under way; `result` is the time at which Redis had set its values."""

    updates: list[Update]
    offset: int
    received_at_us: int
    started: float
    result: Future[float]


def run_latest(options: LatestOptions) -> None:
    """Run the process of the newest values."""
    runtime.configure_logs(debug=options.debug)
    sys.setswitchinterval(SWITCH_S)
    values = open_value_store(options.redis_url, options.redis_token, publish=options.publish)
    latest = LatestSink(options, values)
    consumer.run_consumer(options.journal, latest)
    latest.close()
