"""The journal's record: what one write() puts on disk, and how it is found again.

`{magic, length, crc32, kind, feed, check, connection, received_at}` and a payload.
The magic lets a reader find the next record behind a damaged one; the check
covers the header, so that a flipped length is never waited for; the crc covers
everything, so a torn or flipped record is never believed.
A DATA payload is `{count, length of each frame, frames}`; an EVENT payload is
one JSON object about the connection.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

from stock_platform.errors import InvalidDataError

MAGIC = b"SPJ1"
HEADER = struct.Struct("<4sIIBBHIQ")
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
_HEAD = struct.Struct("<IBBIQ")
_COUNT = struct.Struct("<I")


class Kind(IntEnum):
    """What a payload is."""

    DATA = 1
    EVENT = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One journal record; `start` and `end` are offsets in the whole journal."""

    start: int
    end: int
    kind: int
    feed: int
    connection: int
    received_at_us: int
    payload: bytes

    @property
    def received_at_ms(self) -> int:
        return self.received_at_us // 1000

    def frames(self) -> list[bytes]:
        """Return the frames of a DATA record, byte for byte as the feed sent them."""
        payload = self.payload
        (count,) = _COUNT.unpack_from(payload)
        lengths = struct.unpack_from(f"<{count}I", payload, 4)
        at = 4 + 4 * count
        ends = list(accumulate(lengths, initial=at))
        return [payload[a:b] for a, b in pairwise(ends)]


class IncompleteRecordError(InvalidDataError):
    """The bytes end before the record does."""


class CorruptRecordError(InvalidDataError):
    """The bytes are no record, or not the one that was written."""


def pack_frames(frames: Sequence[bytes]) -> list[bytes]:
    """Return the payload of a DATA record, in two pieces."""
    lengths = struct.pack(f"<{len(frames) + 1}I", len(frames), *map(len, frames))
    return [lengths, b"".join(frames)]


def pack(
    kind: int, feed: int, payload: Sequence[bytes], *, connection: int, received_at_us: int
) -> list[bytes]:
    """Return a record as its header and the pieces of its payload, ready for one writev()."""
    length = sum(map(len, payload))
    check = crc = zlib.crc32(_HEAD.pack(length, kind, feed, connection, received_at_us))
    for part in payload:
        crc = zlib.crc32(part, crc)
    header = (MAGIC, length, crc, kind, feed, check & 0xFFFF, connection, received_at_us)
    return [HEADER.pack(*header), *payload]


def parse(buffer: bytes, at: int, base: int) -> Record:
    """Read the record at `buffer[at]`, whose first byte has journal offset `base`.

    Raise `IncompleteRecordError` when more bytes are needed and `CorruptRecordError`
    when no bytes can help.
    """
    if len(buffer) - at < HEADER.size:
        raise IncompleteRecordError
    fields = HEADER.unpack_from(buffer, at)
    magic, length, crc, kind, feed, header_check, connection, received = fields
    check = zlib.crc32(_HEAD.pack(length, kind, feed, connection, received))
    if magic != MAGIC or check & 0xFFFF != header_check or length > PAYLOAD_BYTES_MAX:
        raise CorruptRecordError
    end = at + HEADER.size + length
    if end > len(buffer):
        raise IncompleteRecordError
    payload = buffer[at + HEADER.size : end]
    if zlib.crc32(payload, check) != crc:
        raise CorruptRecordError
    return Record(base, base + end - at, kind, feed, connection, received, payload)
