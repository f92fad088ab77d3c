"""The gap manifest: what the feed may have sent while nobody listened.

The feed has no replay. Each outage becomes one line: when we last heard the
feed and first heard it again, by our clock and by the time in the events.
"""

import errno
import os
from pathlib import Path

import msgspec

FILE = "gaps.ndjson"
MS_END = 100_000_000_000_000
"""A time in milliseconds has at most 14 digits until the year 5138."""


class FeedOutage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One outage of one feed; times are milliseconds since the epoch, 0 when unknown."""

    feed: str
    channels: list[str]
    heard_until: int
    heard_again: int
    reason: str
    last_event: int = 0
    """`t` (or `s`) of the last event before, so that a delayed feed is asked for its own time."""
    first_event: int = 0


UNREADABLE = FeedOutage("", [], 0, 0, "this line of the manifest is torn")


def record(journal: Path, gap: FeedOutage) -> None:
    """Append one gap, durably; `OSError` when the disk does not take it."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(journal / FILE, flags, 0o644)
    try:
        line = msgspec.json.encode(gap) + b"\n"
        if os.write(fd, line) < len(line):
            # Ended here, what a full disk has torn costs no other line.
            os.write(fd, b"\n")
            raise OSError(errno.ENOSPC, "the manifest's line was torn")
        os.fsync(fd)
    finally:
        os.close(fd)


def read(journal: Path, start: int = 0) -> list[FeedOutage]:
    """Return the gaps recorded so far, oldest first, from the `start`-th on.

    A torn line is `UNREADABLE`, so that the count of lines stays a position.
    """
    try:
        lines = (journal / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [_gap(line) for line in lines[start:]]


def _gap(line: bytes) -> FeedOutage:
    try:
        return msgspec.json.decode(line, type=FeedOutage)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UNREADABLE


class _Timed(msgspec.Struct):
    t: int = 0
    s: object = 0


_TIMED = msgspec.json.Decoder(list[_Timed])


def event_times_ms(frame: bytes) -> list[int]:
    """Return the times in a frame's events, in ms; none when it cannot be read."""
    try:
        events = _TIMED.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    times = [event.t or (event.s if isinstance(event.s, int) else 0) for event in events]
    return [to_ms(time) for time in times if time > 0]


def to_ms(time: int) -> int:
    """Decide the unit by the number of digits (13 ms, 16 us, 19 ns), as the vendor mixes them."""
    if time < MS_END:
        return time
    return time // 1000 if time < MS_END * 1000 else time // 1_000_000
