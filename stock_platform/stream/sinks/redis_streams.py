"""The sink that feeds the live plane: events by symbol shard into Redis Streams.

One entry is what one journal record holds for one shard. Its id is made of the
record's time and offset, which only rise, so an entry added twice is refused
by Redis itself and every symbol's events stay in order.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stock_platform.errors import TransientError
from stock_platform.stream import runtime
from stock_platform.stream.journal import consumer
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.sinks.redis_client import RedisClient, RedisCommandError, packed
from stock_platform.stream.sinks.redis_latest import load_fence

NAME = "queue"
TICK_S = 0.02
WAITING_MAX = 2_000
"""Entries packed and not yet in Redis; above it the journal is not read."""
ALREADY_THERE = "equal or smaller"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """The options of the process."""

    journal: Path
    redis_url: str = field(repr=False)
    shards: int
    entries_max: int
    debug: bool = False


class _Head(msgspec.Struct):
    sym: str = ""
    T: object = None


_HEADS = msgspec.json.Decoder(list[_Head])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


def stream_name(shard: int) -> str:
    """Return a shard's stream; an entry has `events`, a JSON array, and `received_at` in us."""
    return f"stock:events:{shard}"


class QueueSink:
    """Packs XADDs and sends them a tick at a time."""

    name = NAME
    tick_s = TICK_S

    def __init__(self, options: QueueOptions, link: RedisClient) -> None:
        self._options = options
        self._link = link
        self._shard_of: dict[str, int] = {}
        self._waiting: list[bytes] = []
        self._added = self._delivered = 0
        self._events = self._entries = self._repeated = self._malformed = 0

    @property
    def busy(self) -> bool:
        return len(self._waiting) > WAITING_MAX

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind == Kind.DATA:
                self._pack_record(record)
        self._added = records[-1].end

    def flush(self) -> None:
        added, waiting = self._added, self._waiting
        if waiting:
            self._check_lease()
            self._link.send(waiting)
            # All replies are read before anything is decided: the next flush must not see ours.
            replies = [self._reply() for _ in waiting]
            failed = [text for text in replies if text and ALREADY_THERE not in text]
            if failed:
                raise TransientError(f"Redis refused an entry: {failed[0]}")
            self._repeated += sum(bool(text) for text in replies)
            self._entries += len(waiting)
            self._waiting = []
        self._delivered = added

    def sync(self) -> None:
        """Nothing lies on local disk."""

    def on_checkpoint_saved(self, checkpoint: Checkpoint) -> None:
        """Nothing waits for a checkpoint."""

    def checkpoint(self, offset: int) -> Checkpoint | None:
        return Checkpoint(self._delivered) if self._delivered else None

    def drain(self) -> bool:
        return not self._waiting

    def status(self) -> dict[str, object]:
        return {
            "events": self._events,
            "entries": self._entries,
            "repeated": self._repeated,
            "malformed": self._malformed,
        }

    def close(self) -> None:
        self._link.close()

    def _pack_record(self, record: Record) -> None:
        shards: dict[int, list[msgspec.Raw]] = {}
        for frame in record.frames():
            try:
                heads, raws = _HEADS.decode(frame), _RAWS.decode(frame)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                # The archive keeps such a frame with its reason; consumers need events.
                self._malformed += 1
                continue
            for head, raw in zip(heads, raws, strict=True):
                symbol = head.sym or (head.T if isinstance(head.T, str) else "")
                if symbol:
                    shards.setdefault(self._shard(symbol), []).append(raw)
        for shard, raws in shards.items():
            self._events += len(raws)
            self._waiting.append(self._pack(record, shard, b",".join(raws)))

    def _shard(self, symbol: str) -> int:
        found = self._shard_of.get(symbol)
        if found is None:
            found = zlib.crc32(symbol.encode()) % self._options.shards
            if len(self._shard_of) < 100_000:
                self._shard_of[symbol] = found
        return found

    def _pack(self, record: Record, shard: int, events: bytes) -> bytes:
        return packed(
            "XADD",
            stream_name(shard),
            "MAXLEN",
            "~",
            self._options.entries_max,
            f"{record.received_at_us}-{record.end}",
            "received_at",
            record.received_at_us,
            "events",
            b"[" + events + b"]",
        )

    def _reply(self) -> str:
        try:
            self._link.receive()
        except RedisCommandError as error:
            return str(error)
        return ""

    def _check_lease(self) -> None:
        fence = load_fence(self._options.journal)
        if fence.fence and self._link.command("GET", fence.key) != fence.fence.encode():
            raise TransientError("the lease belongs to another sidecar: nothing is queued")


def run_queue(options: QueueOptions) -> None:
    """Run the process of the Redis Streams."""
    runtime.configure_logs(debug=options.debug)
    queue = QueueSink(options, RedisClient(options.redis_url))
    consumer.run_consumer(options.journal, queue)
    queue.close()
