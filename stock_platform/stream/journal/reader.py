"""Read the journal behind its writer, from any offset, over damage and deletions."""

import os
from pathlib import Path

from stock_platform.stream.journal.format import (
    HEADER,
    MAGIC,
    CorruptRecordError,
    IncompleteRecordError,
    Record,
    parse,
)
from stock_platform.stream.journal.segments import Segment, next_magic, path_of, segments

CHUNK_BYTES = 1_048_576
LISTING_EVERY = 64


class JournalReader:
    """A position in the journal. `offset` is behind the last record returned."""

    def __init__(self, folder: Path, offset: int = 0) -> None:
        self.offset = offset
        self.damaged = 0
        """Places at which bytes were skipped because they were no record."""
        self.skipped_bytes = 0
        self._folder = folder
        self._base = 0
        self._fd = -1
        self._waits = -1

    def read(self, bytes_max: int = CHUNK_BYTES) -> list[Record]:
        """Return the next records, about `bytes_max` of them; empty at the journal's end."""
        while True:
            if self._fd < 0 and not self._open():
                return []
            records = self._parse(bytes_max)
            if records or not self._advance():
                return records

    def lag(self) -> int:
        """Return how many bytes are written and not yet read."""
        found = segments(self._folder)
        return max(0, found[-1].end - self.offset) if found else 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> bool:
        segment = self._at_offset()
        if segment is None:
            return False
        try:
            self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # deleted since it was listed: the next call finds its successor
        if segment.base > self.offset:
            # What lay between was dropped (drop_oldest) or lost with the power.
            self.skipped_bytes += segment.base - self.offset
            self.offset = segment.base
        self._base = segment.base
        return True

    def _at_offset(self) -> Segment | None:
        found = segments(self._folder)
        started = [segment for segment in found if segment.base <= self.offset]
        if started and (self.offset < started[-1].end or started[-1] is found[-1]):
            return started[-1]
        later = [segment for segment in found if segment.base > self.offset]
        return later[0] if later else None

    def _parse(self, bytes_max: int) -> list[Record]:
        at_file = self.offset - self._base
        data = os.pread(self._fd, bytes_max, at_file)
        records: list[Record] = []
        at = 0
        while at < len(data):
            try:
                record = parse(data, at, self.offset)
            except IncompleteRecordError:
                if records or self._size() <= at_file + len(data):
                    return records
                # One record larger than the chunk, or damage that ends inside it.
                return self._parse(bytes_max * 4)
            except CorruptRecordError:
                skip = self._resync(data, at)
                if not skip:
                    return records
                at += skip
                self.offset += skip
                continue
            records.append(record)
            at += record.end - record.start
            self.offset = record.end
        return records

    def _size(self) -> int:
        return os.fstat(self._fd).st_size

    def _resync(self, data: bytes, at: int) -> int:
        """Return how many bytes to skip; 0 while the record may still be being written."""
        step = next_magic(data, at + 1) - at
        behind = self._size() - (self.offset - self._base + step)
        if behind < HEADER.size and not self._following():
            return 0
        self.damaged += 1
        self.skipped_bytes += step
        return step

    def _following(self) -> Segment | None:
        # Almost always the next segment starts where this one ends: one stat shows it.
        # Only after a loss of power does it start later, and then a listing finds it.
        end = self._base + self._size()
        self._waits += 1
        if self._waits % LISTING_EVERY and not path_of(self._folder, end).exists():
            return None
        return next((s for s in segments(self._folder) if s.base > self._base), None)

    def _advance(self) -> bool:
        """Go to the next segment once this one is wholly read."""
        following = self._following()
        if following is None:
            return False
        end = self._base + self._size()
        if self.offset < end and self._complete_record_waits():
            return True
        if self.offset < end:
            # A torn tail the writer could not cut off: it was never acknowledged.
            self.damaged += 1
        self.skipped_bytes += following.base - self.offset
        self.offset = following.base
        self.close()
        return True

    def _complete_record_waits(self) -> bool:
        # The writer may have appended and rotated between our read and our listing.
        data = os.pread(self._fd, HEADER.size, self.offset - self._base)
        if len(data) < HEADER.size or not data.startswith(MAGIC):
            return False
        length = HEADER.unpack(data)[1]
        return HEADER.size + length <= self._base + self._size() - self.offset
