"""The loop every consumer runs: read the journal, hand on, flush, remember how far.

A consumer may fall behind, restart or crash; it begins again at its checkpoint
and repeats a little, which its destination must bear.
"""

import gc
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from stock_platform.errors import TransientError
from stock_platform.stream import status
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.format import Record
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.runtime import tune_gc_and_malloc

log = structlog.get_logger(__name__)
REPORT_S = 1.0
RETRY_S = 0.5
STOP_S = 20.0
"""How long a stopping consumer tries to hand on what is left; the journal keeps the rest."""
COLLECT_EVERY = 60


class Sink(Protocol):
    """What one consumer does with records."""

    name: str
    tick_s: float

    def add(self, records: Sequence[Record]) -> None:
        """Take records in order; must not fail for what they hold."""
        ...

    def flush(self) -> None:
        """Hand on what was taken; `Transient` means the same again a little later."""
        ...

    def checkpoint(self, taken: int) -> checkpoints.Checkpoint | None:
        """Return the checkpoint that holds now, or None when it has not moved.

        `taken` is the offset behind the last record taken.
        """
        ...

    def drain(self) -> bool:
        """Prepare to stop; False while something still has to be handed on."""
        ...

    def status(self) -> dict[str, object]: ...


@runtime_checkable
class DurableSink(Protocol):
    """What a consumer with files of its own adds."""

    @property
    def busy(self) -> bool:
        """Whether nothing more should be taken for now."""
        ...

    def sync(self) -> None:
        """Bring everything the offered checkpoint speaks of to the disk; runs in a thread."""
        ...

    def on_checkpoint_saved(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Learn that a checkpoint survives a loss of power."""
        ...


class JournalConsumer:
    """Runs one `Work` over one journal."""

    def __init__(self, journal: Path, work: Sink) -> None:
        self._journal = journal
        self._work = work
        found = checkpoints.load(journal, work.name)
        self._tail = JournalReader(journal, found.offset if found else 0)
        self._durable = work if isinstance(work, DurableSink) else None
        prepare = self._durable.sync if self._durable else lambda: None
        self._saver = checkpoints.CheckpointWriter(journal, work.name, prepare)
        self._saved = found.offset if found else 0
        self._trouble = ""
        self._patience_s = STOP_S
        self._retries = 0
        self._stopping = False
        self._collected = 0
        self._told: checkpoints.Checkpoint | None = None

    @property
    def trouble(self) -> str:
        """Why nothing is handed on at the moment; empty when all is well."""
        return self._trouble

    def give_up(self) -> None:
        """Return from `run` soon, whatever is left; the journal keeps it."""
        self._patience_s = 0.0
        self._stopping = True

    def stop(self, *_: object) -> None:
        """Read to the journal's end, hand everything on, and return from `run`."""
        self._stopping = True

    def run(self, keep_running: Callable[[], bool]) -> None:
        """Work until `stop` was called or `keep_running` says no."""
        flush_at = report_at = 0.0
        deadline = 0.0
        while True:
            busy = self._durable is not None and self._durable.busy
            records = [] if busy else self._tail.read()
            if records:
                self._work.add(records)
            self._tell()
            now = time.monotonic()
            if now >= flush_at:
                retry_s = 0.0 if self._flush() else RETRY_S
                # After a long flush comes at least half a tick of reading: who is behind
                # then conflates more and catches up, instead of flushing for ever.
                half = time.monotonic() + self._work.tick_s / 2
                flush_at = max(flush_at + self._work.tick_s, half) + retry_s
            if now >= report_at:
                report_at = now + REPORT_S
                self._report(stopped=False)
                self._stopping = self._stopping or not keep_running()
            if self._stopping:
                deadline = deadline or now + self._patience_s
                if not records and self._finished(give_up=now > deadline):
                    break
            if not records:
                time.sleep(max(0.0005, min(flush_at - time.monotonic(), self._work.tick_s)))
        self._saver.close()
        self._report(stopped=True)
        self._tail.close()

    def _finished(self, *, give_up: bool) -> bool:
        done = self._flush() and self._work.drain()
        self._checkpoint()
        return done or give_up

    def _flush(self) -> bool:
        try:
            self._work.flush()
        except TransientError as error:
            self._retries += 1
            if str(error) != self._trouble:
                log.warning("consumer_waiting", consumer=self._work.name, reason=str(error))
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True

    def _checkpoint(self) -> None:
        checkpoint = self._work.checkpoint(self._tail.offset)
        if checkpoint is not None:
            self._saver.save(checkpoint)
            self._saved = checkpoint.offset

    def _tell(self) -> None:
        saved = self._saver.saved
        if self._durable and saved and saved is not self._told:
            self._told = saved
            self._durable.on_checkpoint_saved(saved)

    def _report(self, *, stopped: bool) -> None:
        if not stopped:
            self._checkpoint()
        self._collected += 1
        if self._collected % COLLECT_EVERY == 0:
            gc.collect()
        tail = self._tail
        status.save(
            self._journal,
            self._work.name,
            {
                "stopped": stopped,
                "offset": tail.offset,
                "settled": self._saved,
                "lag_bytes": tail.lag(),
                "damaged": tail.damaged,
                "skipped_bytes": tail.skipped_bytes,
                "trouble": self._trouble,
                "retries": self._retries,
                **self._work.status(),
            },
        )


def run_consumer(journal: Path, work: Sink) -> None:
    """Be one consumer process until SIGTERM or the death of the supervisor."""
    lock = checkpoints.only_one(journal, work.name)
    consumer = JournalConsumer(journal, work)
    signal.signal(signal.SIGTERM, consumer.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tune_gc_and_malloc()
    consumer.run(status.parent_lives)
    checkpoints.release(lock)
