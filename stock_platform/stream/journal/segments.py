"""The journal's files: named by the offset of their first byte, found and recovered."""

import os
from dataclasses import dataclass
from pathlib import Path

from stock_platform.stream.journal.format import (
    MAGIC,
    CorruptRecordError,
    IncompleteRecordError,
    parse,
)

SUFFIX = ".seg"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file; it holds the journal's bytes [base, base + size)."""

    path: Path
    base: int
    size: int

    @property
    def end(self) -> int:
        return self.base + self.size


def path_of(folder: Path, base: int) -> Path:
    return folder / f"{base:020d}{SUFFIX}"


def segments(folder: Path) -> list[Segment]:
    """Return the segments in order; one that vanishes meanwhile is skipped."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(Segment(path, int(path.stem), path.stat().st_size))
        except (OSError, ValueError):
            continue
    return found


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` found at the journal's end."""

    end: int
    torn_bytes: int
    received_at_us: int


def recover(folder: Path) -> Recovered:
    """Cut a torn tail off the last segment; damage with good records behind it stays.

    Readers resynchronise over damage, but bytes after the last good record were
    never acknowledged: a process died while writing them.
    """
    found = segments(folder)
    if not found:
        return Recovered(0, 0, 0)
    last = found[-1]
    data = last.path.read_bytes()
    good, at, received = 0, 0, 0
    while at < len(data):
        try:
            record = parse(data, at, last.base + at)
        except (CorruptRecordError, IncompleteRecordError):
            at = next_magic(data, at + 1)
            continue
        at += record.end - record.start
        good, received = at, record.received_at_us
    if good < len(data):
        with last.path.open("r+b") as file:
            file.truncate(good)
            os.fsync(file.fileno())
    return Recovered(last.base + good, len(data) - good, received)


def next_magic(data: bytes, start: int) -> int:
    """Return where the next record may begin; a magic cut by the end of `data` counts."""
    found = data.find(MAGIC, start)
    return found if found >= 0 else max(start, len(data) - len(MAGIC) + 1)


def sync_folder(folder: Path) -> None:
    """Make created, renamed and deleted names of a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
