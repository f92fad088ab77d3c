"""The journal: what was received, on disk before anything processes it.

One process appends; consumers read behind it. A record is acknowledged when its
write() returned, so it survives a kill of every process; a loss of power costs
at most the sync interval. The journal never exceeds its bound: what happens
there is the declared policy, counted and alarmed.
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from stock_platform.errors import PermanentError
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.format import Kind, pack, pack_frames
from stock_platform.stream.journal.segments import path_of, recover, segments, sync_folder

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class JournalCounts:
    """What happened to the records."""

    records: int = 0
    bytes: int = 0
    refused: int = 0
    write_errors: int = 0
    segments_dropped: int = 0
    bytes_dropped: int = 0


class JournalWriter:
    """Appends records, from one thread; `sync` and `release` may run in another one.

    They take milliseconds in which nothing could be appended.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, bytes_max: int, policy: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.counts = JournalCounts()
        self._segment_bytes = segment_bytes
        self._bytes_max = bytes_max
        self._policy = policy
        self._lock = _only_writer(folder)
        recovered = recover(folder)
        self.torn_bytes = recovered.torn_bytes
        self._received_at_us = recovered.received_at_us
        # A consumer may have read what a loss of power then took: never reuse its offsets.
        self._end = max([recovered.end, *checkpoints.released_offsets(folder).values()])
        self._unsynced: list[int] = []
        self._folder_changed = True
        self._fd = -1
        # Bytes in the folder: one counter for each thread that changes them.
        self._appended = sum(segment.size for segment in segments(folder))
        self._released = 0
        self._start_segment()

    @property
    def end(self) -> int:
        """The offset behind the last acknowledged byte."""
        return self._end

    @property
    def full(self) -> bool:
        """Whether the bound is reached and the policy is to refuse."""
        return self._policy == "pause" and self.held + self._segment_bytes > self._bytes_max

    @property
    def held(self) -> int:
        """How many bytes the segments have."""
        return self._appended - self._released - self.counts.bytes_dropped

    def append_frames(
        self, feed: int, connection: int, frames: Sequence[bytes], received_at_us: int
    ) -> bool:
        """Write frames as one record; False when they are refused (bound, disk full)."""
        return self._append(pack_frames(frames), Kind.DATA, (feed, connection), received_at_us)

    def append_event(
        self, feed: int, connection: int, event: dict[str, object], received_at_us: int
    ) -> bool:
        """Write one JSON object about a connection."""
        payload = [msgspec.json.encode(event)]
        return self._append(payload, Kind.EVENT, (feed, connection), received_at_us)

    def release(self, before: int) -> int:
        """Delete segments every consumer has passed; return how many. The newest stays.

        May run in a thread beside `append`.
        """
        passed = [segment for segment in segments(self.folder)[:-1] if segment.end <= before]
        deleted = [segment.size for segment in passed if _delete(segment.path)]
        self._released += sum(deleted)
        return len(deleted)

    def sync(self) -> None:
        """Bring what was appended to the disk; may run in a thread beside `append`."""
        unsynced, self._unsynced = self._unsynced, []
        changed, self._folder_changed = self._folder_changed, False
        for fd in unsynced:
            os.fdatasync(fd)
            os.close(fd)
        if self._fd >= 0:
            os.fdatasync(self._fd)
        if changed:
            sync_folder(self.folder)

    def close(self) -> None:
        self.sync()
        os.close(self._fd)
        self._fd = -1
        os.close(self._lock)

    def _append(
        self, payload: list[bytes], kind: int, source: tuple[int, int], received_at_us: int
    ) -> bool:
        # Events are a few bytes a second and record what happened at the bound: always accepted.
        if kind == Kind.DATA and self.full:
            self.counts.refused += 1
            return False
        # A clock set back must not reopen an archive window: time in the journal only rises.
        self._received_at_us = max(self._received_at_us, received_at_us)
        feed, connection = source
        parts = pack(
            kind, feed, payload, connection=connection, received_at_us=self._received_at_us
        )
        size = sum(map(len, parts))
        if not self._write(parts, size):
            return False
        self._end += size
        self._appended += size
        self.counts.records += 1
        self.counts.bytes += size
        if self._end - self._base >= self._segment_bytes:
            try:
                self._start_segment()
            except OSError as error:
                # The record is safe where it is; the next one tries again.
                self.counts.write_errors += 1
                log.error("journal_segment_not_started", reason=error.strerror)
        return True

    def _write(self, parts: list[bytes], size: int) -> bool:
        try:
            written = os.writev(self._fd, parts)
            if written < size:
                rest = b"".join(parts)[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            os.ftruncate(self._fd, self._end - self._base)
            self.counts.write_errors += 1
            self.counts.refused += 1
            log.error("journal_write_failed", errno=error.errno, reason=error.strerror)
            return False
        return True

    def _start_segment(self) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path_of(self.folder, self._end), flags, 0o644)
        if self._fd >= 0:
            self._unsynced.append(self._fd)
        self._fd, self._base = fd, self._end
        self._folder_changed = True
        if self._policy == "drop_oldest":
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        for segment in segments(self.folder)[:-1]:
            if self.held + self._segment_bytes <= self._bytes_max:
                return
            if not _delete(segment.path):
                continue
            self.counts.segments_dropped += 1
            self.counts.bytes_dropped += segment.size
            log.error("journal_segment_dropped", base=segment.base, bytes=segment.size)


def _delete(path: Path) -> bool:
    """Return whether it was this call that deleted it."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _only_writer(folder: Path) -> int:
    fd = os.open(folder / "writer.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise PermanentError(f"another reader writes the journal in {folder}") from None
    return fd
