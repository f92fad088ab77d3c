"""The sink that archives every event to S3, exactly once.

Lines go to part files on local disk; a checkpoint names their lengths, so a
crash cuts them back and reads on from the journal. An object is sealed first,
the sealing is saved, and only then is it made in the store: whatever dies in
between, the same bytes get the same name.
"""

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog
import zstandard

from stock_platform.errors import PermanentError
from stock_platform.stream import runtime
from stock_platform.stream.journal import checkpoints, consumer
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.sinks.archive.lines import Lines
from stock_platform.stream.sinks.archive.state import ArchiveObject, ArchiveState, Naming, Part
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform.stream.sinks.archive.uploads import Uploads

log = structlog.get_logger(__name__)
NAME = "archive"
TICK_S = 0.1
GRACE_S = 5.0
"""After a window's end, before an idle journal is believed to have nothing more for it."""
WAITING_BYTES_MAX = 1 << 30
"""Sealed or cut bytes not yet in the store; above it the consumer stops reading the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOptions:
    """The options of the process."""

    journal: Path
    store: StoreOptions
    naming: Naming
    part_bytes: int
    object_bytes_max: int
    use_marker: bool = True
    zstd: bool = False
    debug: bool = False


class ArchiveSink:
    """Lines into part files, part files into the store."""

    name = NAME
    tick_s = TICK_S

    def __init__(self, options: ArchiveOptions, store: ArchiveStore) -> None:
        self._options = options
        self._spool = options.journal / "spool"
        self._spool.mkdir(parents=True, exist_ok=True)
        self._state = _load(options.journal)
        self._files: dict[int, BinaryIO] = {}
        self._growing: dict[str, ArchiveObject] = {}
        self._lines = Lines()
        self._saved_generation = self._state.generation
        self._added_at = time.monotonic()
        self._start = 0
        self._trash: list[tuple[int, ArchiveObject]] = []
        self._uploads = Uploads(
            store=store,
            naming=options.naming,
            state=self._state,
            spool=self._spool,
            use_marker=options.use_marker,
        )
        self._recover()

    @property
    def busy(self) -> bool:
        """Whether so much waits for the store that no record should be added."""
        waiting = (part.bytes for obj in self._state.objects for part in obj.parts if not part.etag)
        return sum(waiting) > WAITING_BYTES_MAX

    def add(self, records: Sequence[Record]) -> None:
        self._start = records[0].start
        for record in records:
            window = self._options.naming.window_of(record.received_at_ms)
            if window > self._state.window:
                self._store_lines()
                self._seal(before=window)
                self._state.window = window
            if record.kind == Kind.DATA:
                self._lines.add(record.frames(), record.received_at_ms)
        self._store_lines()
        self._added_at = time.monotonic()

    def flush(self) -> None:
        now_ms = int(time.time() * 1000)
        idle = time.monotonic() - self._added_at > GRACE_S
        if idle:
            self._seal(before=self._options.naming.window_of(now_ms - int(GRACE_S * 1000)))
        for obj in self._uploads.advance(self._saved_generation):
            self._state.objects.remove(obj)
            self._trash.append((self._state.generation, obj))

    def checkpoint(self, offset: int) -> Checkpoint | None:
        for file in self._files.values():
            file.flush()
        self._state.generation += 1
        keep = {f"{o.channel}/{o.window}" for o in self._state.objects}
        self._state.next_seq = {
            key: seq
            for key, seq in self._state.next_seq.items()
            if key in keep or int(key.partition("/")[2]) >= self._state.window
        }
        state = msgspec.Raw(msgspec.json.encode(self._state))
        return Checkpoint(offset, state, self._state.generation)

    def sync(self) -> None:
        """Bring the part files to the disk; runs beside everything else."""
        for path in self._spool.glob("*.part"):
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def on_checkpoint_saved(self, checkpoint: Checkpoint) -> None:
        self._saved_generation = checkpoint.generation
        kept = []
        for generation, obj in self._trash:
            if generation < checkpoint.generation:
                for part in obj.parts:
                    obj.part_path(self._spool, part.number).unlink(missing_ok=True)
            else:
                kept.append((generation, obj))
        self._trash = kept

    def drain(self) -> bool:
        self._seal(before=1 << 62)
        return not self._state.objects and not self._trash

    def status(self) -> dict[str, object]:
        return {
            "lines": dict(self._lines.counts),
            "objects_open": len(self._state.objects),
            "objects_completed": self._uploads.completed,
            "uploaded_bytes": self._uploads.uploaded_bytes,
            "store_trouble": self._uploads.error,
        }

    def close(self) -> None:
        self._uploads.close()
        for file in self._files.values():
            file.close()

    def _store_lines(self) -> None:
        for channel, text in self._lines.drain().items():
            data = zstandard.compress(text, 1) if self._options.zstd else text
            obj = self._growing.get(channel)
            full = obj and obj.total_bytes + len(data) > self._options.object_bytes_max
            if obj and (obj.window != self._state.window or full):
                self._seal_one(obj)
                obj = None
            self._grow(obj or self._open(channel), data)

    def _grow(self, obj: ArchiveObject, data: bytes) -> None:
        file = self._files.get(id(obj))
        if file is None:
            number = len(obj.parts) + 1
            file = obj.part_path(self._spool, number).open("ab", buffering=1 << 20)
            self._files[id(obj)] = file
        file.write(data)
        obj.open_bytes += len(data)
        if obj.open_bytes >= self._options.part_bytes:
            self._cut(obj)

    def _open(self, channel: str) -> ArchiveObject:
        window = self._state.window
        # Several objects of one channel may begin in one batch of records: the seq
        # distinguishes them, the offset alone would not.
        seq = self._state.next_sequence(channel, window)
        obj = ArchiveObject(channel, window, seq, self._unique(channel, window))
        self._state.objects.append(obj)
        self._growing[channel] = obj
        return obj

    def _unique(self, channel: str, window: int) -> int:
        used = {o.first_offset for o in [*self._state.objects, *(o for _, o in self._trash)]}
        offset = self._start
        while offset in used:
            offset += 1
        return offset

    def _cut(self, obj: ArchiveObject) -> None:
        file = self._files.pop(id(obj), None)
        if file:
            file.close()
        obj.parts.append(Part(len(obj.parts) + 1, obj.open_bytes))
        obj.open_bytes = 0

    def _seal(self, *, before: int) -> None:
        for obj in list(self._growing.values()):
            if obj.window < before:
                self._seal_one(obj)

    def _seal_one(self, obj: ArchiveObject) -> None:
        if obj.open_bytes:
            self._cut(obj)
        # The next checkpoint is the first that records the sealing.
        obj.sealed = self._state.generation + 1
        del self._growing[obj.channel]

    def _recover(self) -> None:
        known = set()
        for obj in self._state.objects:
            sizes = {part.number: part.bytes for part in obj.parts}
            if obj.open_bytes or not obj.sealed:
                sizes[len(obj.parts) + 1] = obj.open_bytes
            for number, size in sizes.items():
                path = obj.part_path(self._spool, number)
                known.add(path)
                _cut_back(path, size)
            if not obj.sealed:
                self._growing[obj.channel] = obj
        for path in self._spool.glob("*.part"):
            if path not in known:
                path.unlink()


def _load(journal: Path) -> ArchiveState:
    found = checkpoints.load(journal, NAME)
    if found is None:
        return ArchiveState(uuid.uuid4().hex[:12])
    state = msgspec.json.decode(found.state, type=ArchiveState)
    for obj in state.objects:
        # Completed, but perhaps not its marker: repeating it finds the object there.
        obj.sealed = abs(obj.sealed)
    return state


def _cut_back(path: Path, size: int) -> None:
    if size == 0:
        path.unlink(missing_ok=True)
        return
    if not path.exists() or path.stat().st_size < size:
        raise PermanentError(f"{path} should hold {size} bytes: the archive's local disk lost data")
    os.truncate(path, size)


def run_archive(options: ArchiveOptions) -> None:
    """Run the archive's process."""
    runtime.configure_logs(debug=options.debug)
    archive = ArchiveSink(options, ArchiveStore(options.store))
    consumer.run_consumer(options.journal, archive)
    archive.close()
