"""The consumer that keeps the newest value of each key in Redis."""

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
from stock_platform.stream import status
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
LOOKS_A_FLUSH = 5
"""How often within a flush interval the next one may begin: one that has to wait waits little."""
SWITCH_S = 0.0005
"""How long decoding may keep the thread that talks to Redis waiting for the interpreter."""
CATCH_UP_S = 2.0
"""The longest wait, after a start, for what an earlier process may have set already."""


@dataclass(frozen=True, slots=True)
class LatestOptions:
    """What the consumer is told."""

    journal: Path
    redis_url: str = field(repr=False)
    redis_token: str = field(repr=False, default="")
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    flush_s: float = 0.05
    values_per_s: int = 100_000
    publish: bool = False
    debug: bool = False


class Fence(msgspec.Struct, frozen=True):
    """The lease this sidecar holds, told to its consumers; an empty fence is not checked."""

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

    While Redis takes one flush the next one gathers: a slow Redis, or a feed with more
    changes than `values_per_s`, makes flushes fewer and larger, never the reading slower.
    """

    name = NAME

    def __init__(self, options: LatestOptions, sink: ValueStore) -> None:
        self.tick_s = options.flush_s / LOOKS_A_FLUSH
        self._options = options
        self._sink = sink
        self._newest = Conflator(options.lifetimes)
        self._fence = load_fence(options.journal)
        self._setting: _Setting | None = None
        self._talker = ThreadPoolExecutor(1, "redis")
        self._flush_at = 0.0
        self._failing = False
        self._taken = self._done = 0
        # An earlier process may have set values up to here. Their keys are asked for, but Redis
        # holds no sequence and no order of arrival: set nothing before it is read again.
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
                    self._newest.add(decoded.events)
        self._taken = records[-1].end
        self._received_at_us = records[-1].received_at_us

    def flush(self) -> None:
        if self._setting and not self._setting.result.done():
            return
        self._collect_result()
        if self._taken < self._repeats_until and time.monotonic() < self._catch_up_by:
            return
        waiting, now = self._newest.waiting, time.monotonic()
        if waiting and now < self._flush_at and not self._failing:
            return
        if waiting:
            pause = max(self._options.flush_s, waiting / self._options.values_per_s)
            self._flush_at = now + pause
            self._ask_for_unseen()
            self._set(self._newest.drain(datetime.now(UTC)))
            if self._failing:
                # Until it works again: at once, so that the trouble stands until it is over.
                self._collect_result()
        else:
            self._done = self._taken

    def checkpoint(self, taken: int) -> Checkpoint | None:
        return Checkpoint(self._done) if self._done else None

    def drain(self) -> bool:
        return not self._newest.waiting and not self._setting

    def status(self) -> dict[str, object]:
        return {
            "events": self._events,
            "unknown": self._unknown,
            "malformed": self._malformed,
            "written": self._written,
            "older": self._newest.older,
            "refused_symbols": self._newest.refused_symbols,
            "delay_ms": round(self._delay_ms, 2),
            "flush_ms": round(self._flush_ms, 2),
        }

    def _ask_for_unseen(self) -> None:
        unseen = self._newest.unverified_keys()
        if not unseen:
            return
        try:
            stored = self._sink.get(unseen)
        except PlatformError as error:
            raise TransientError(str(error)) from error
        self._newest.seed(stored)

    def _set(self, updates: list[Update]) -> None:
        lease = (self._fence.key, self._fence.fence)
        started = time.time()

        def put() -> float:
            self._sink.put(updates, lease)
            return time.time()

        result = self._talker.submit(put)
        self._setting = _Setting(updates, self._taken, self._received_at_us, started, result)

    def _collect_result(self) -> None:
        """Learn how the last flush went; `Transient` when its values are still to be set."""
        setting, self._setting = self._setting, None
        if not setting:
            return
        self._failing = True
        try:
            ended = setting.result.result()
        except LeaseLostError as error:
            self._newest.requeue()
            known = load_fence(self._options.journal)
            if known != self._fence:
                self._fence = known
                self._newest.invalidate()
            raise TransientError("the lease belongs to another sidecar: nothing is set") from error
        except PlatformError as error:
            # A wrong token or an error of Redis is mended outside; the journal waits for it.
            self._newest.requeue()
            raise TransientError(str(error)) from error
        self._failing = False
        self._newest.confirm()
        self._done = setting.taken
        self._delay_ms = (ended * 1e6 - setting.received_at_us) / 1000
        self._flush_ms = (ended - setting.started) * 1000
        self._written += sum(len(update.keys) for update in setting.updates)
        if self._options.debug:
            for update in setting.updates:
                for key in update.keys:
                    log.debug("redis_write", key=key.decode(), ttl_s=update.ttl_s)


@dataclass(frozen=True, slots=True)
class _Setting:
    """A flush on its way to Redis; `result` gives when it was set."""

    updates: list[Update]
    taken: int
    received_at_us: int
    started: float
    result: Future[float]


def run_latest(options: LatestOptions) -> None:
    """Be the latest consumer's process."""
    status.configure_logs(debug=options.debug)
    sys.setswitchinterval(SWITCH_S)
    sink = open_value_store(options.redis_url, options.redis_token, publish=options.publish)
    consumer.run_consumer(options.journal, LatestSink(options, sink))
    sink.close()
