"""The `Sink` protocol, and the loop that runs a sink over the journal in a process.

A consumer may lag, restart or crash; it begins again at its sink's last
checkpoint and repeats a little, so a sink must accept the same records twice.
"""

import gc
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from stock_platform.errors import TransientError
from stock_platform.stream import runtime, status
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Record
from stock_platform.stream.journal.reader import JournalReader

log = structlog.get_logger(__name__)
REPORT_S = 1.0
RETRY_S = 0.5
STOP_S = 20.0
"""How long a stopping consumer tries to deliver what is left; the journal keeps the rest."""
COLLECT_EVERY = 60


@runtime_checkable
class Sink(Protocol):
    """A destination of the journal's records, with a process and a checkpoint of its own.

    All calls come from one thread, for ever in this order: `add` while there are records,
    `flush` every `tick_s` seconds, `checkpoint` once a second. A minimal sink:

        from stock_platform.stream.journal.checkpoints import Checkpoint


        class CountingSink:
            name, tick_s = "counting", 1.0
            records = 0

            def add(self, records):
                self.records += len(records)

            def flush(self):
                print(self.records)

            def checkpoint(self, offset):
                return Checkpoint(offset)

            def drain(self):
                return True

            def status(self):
                return {"records": self.records}
    """

    name: str
    """Names the process, its checkpoint and its status: lower case, digits, `-` and `_`."""
    tick_s: float
    """Seconds between two calls of `flush`, and the longest sleep at the journal's end."""

    def add(self, records: Sequence[Record]) -> None:
        """Collect records, in the journal's order.

        Must not raise for anything a record holds: bytes that are no JSON are counted or
        stored, never a reason to stop. Records may come again after a restart.
        """
        ...

    def flush(self) -> None:
        """Deliver what was collected.

        Raise `TransientError` to have the call repeated half a second later; any other
        error ends the process, which is started again at the last checkpoint.
        """
        ...

    def checkpoint(self, offset: int) -> Checkpoint | None:
        """Return the checkpoint that holds now, or None when nothing is delivered yet.

        `offset` is in bytes, behind the last record given to `add`. Everything before
        `Checkpoint.offset` must be delivered: the journal may delete it.
        """
        ...

    def drain(self) -> bool:
        """Deliver the rest before a stop; return False while something is left.

        Called again and again for up to 20 s, each time after a `flush`.
        """
        ...

    def status(self) -> dict[str, object]:
        """Return facts for the status file, as JSON; each number becomes a metric too.

        A number `n` is `stock_stream_tailer_{n}` in `/metrics`, labelled with the sink's name.
        """
        ...


@runtime_checkable
class DurableSink(Protocol):
    """What a sink adds that writes files of its own, or that must bound what it holds."""

    @property
    def busy(self) -> bool:
        """Whether no further record should be added for now."""
        ...

    def sync(self) -> None:
        """Sync to disk whatever the next checkpoint relies on; runs in a thread."""
        ...

    def on_checkpoint_saved(self, checkpoint: Checkpoint) -> None:
        """Note that a checkpoint survives a loss of power."""
        ...


class JournalConsumer:
    """Runs one `Sink` over one journal, from the sink's last checkpoint on."""

    def __init__(self, journal: Path, sink: Sink) -> None:
        self._journal = journal
        self._sink = sink
        found = checkpoints.load(journal, sink.name)
        self._reader = JournalReader(journal, found.offset if found else 0)
        self._durable = sink if isinstance(sink, DurableSink) else None
        prepare = self._durable.sync if self._durable else lambda: None
        self._writer = checkpoints.CheckpointWriter(journal, sink.name, prepare)
        self._checkpointed = found.offset if found else 0
        self._error = ""
        self._retries = 0
        self._stopping = False
        self._collected = 0
        self._announced: Checkpoint | None = None

    @property
    def error(self) -> str:
        """Why nothing is delivered at the moment; empty when all is well."""
        return self._error

    def stop(self, *_: object) -> None:
        """Read to the journal's end, deliver everything, and return from `run`."""
        self._stopping = True

    def run(self, keep_running: Callable[[], bool]) -> None:
        """Work until `stop` was called or `keep_running` returns False."""
        flush_at = report_at = 0.0
        deadline = 0.0
        while True:
            busy = self._durable is not None and self._durable.busy
            records = [] if busy else self._reader.read()
            if records:
                self._sink.add(records)
            self._announce_checkpoint()
            now = time.monotonic()
            if now >= flush_at:
                retry_s = 0.0 if self._flush() else RETRY_S
                # After a long flush comes at least half a tick of reading: a consumer that
                # lags then conflates more and catches up, instead of flushing for ever.
                half = time.monotonic() + self._sink.tick_s / 2
                flush_at = max(flush_at + self._sink.tick_s, half) + retry_s
            if now >= report_at:
                report_at = now + REPORT_S
                self._report(stopped=False)
                # Not `stopping = stopping or ...`: a signal during the call would be undone.
                if not keep_running():
                    self._stopping = True
            if self._stopping:
                deadline = deadline or now + STOP_S
                if not records and self._finished(overdue=now > deadline):
                    break
            if not records:
                time.sleep(max(0.0005, min(flush_at - time.monotonic(), self._sink.tick_s)))
        self._writer.close()
        self._report(stopped=True)
        self._reader.close()

    def _finished(self, *, overdue: bool) -> bool:
        done = self._flush() and self._sink.drain()
        self._checkpoint()
        return done or overdue

    def _flush(self) -> bool:
        try:
            self._sink.flush()
        except TransientError as error:
            self._retries += 1
            if str(error) != self._error:
                log.warning("consumer_waiting", consumer=self._sink.name, reason=str(error))
            self._error = str(error)
            return False
        self._error = ""
        return True

    def _checkpoint(self) -> None:
        checkpoint = self._sink.checkpoint(self._reader.offset)
        if checkpoint is not None:
            self._writer.save(checkpoint)
            self._checkpointed = checkpoint.offset

    def _announce_checkpoint(self) -> None:
        saved = self._writer.saved
        if self._durable and saved and saved is not self._announced:
            self._announced = saved
            self._durable.on_checkpoint_saved(saved)

    def _report(self, *, stopped: bool) -> None:
        if not stopped:
            self._checkpoint()
        self._collected += 1
        if self._collected % COLLECT_EVERY == 0:
            gc.collect()
        reader = self._reader
        status.save(
            self._journal,
            self._sink.name,
            {
                "stopped": stopped,
                "offset": reader.offset,
                # Also a metric, under this name, that dashboards and the asset graph read.
                "settled": self._checkpointed,
                "lag_bytes": reader.lag(),
                "damaged": reader.damaged,
                "skipped_bytes": reader.skipped_bytes,
                "trouble": self._error,
                "retries": self._retries,
                **self._sink.status(),
            },
        )


def run_consumer(journal: Path, sink: Sink) -> None:
    """Run a sink's process until SIGTERM or the death of the supervisor."""
    lock = checkpoints.lock_consumer(journal, sink.name)
    consumer = JournalConsumer(journal, sink)
    signal.signal(signal.SIGTERM, consumer.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runtime.tune_gc_and_malloc()
    consumer.run(runtime.parent_lives)
    checkpoints.unlock(lock)
