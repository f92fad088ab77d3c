"""The gap manifest: what the feed may have sent while no connection was open.

The feed has no replay. Each outage becomes one line: when a frame was last received
and when the feed streamed again, by our clock and by the time in the events.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stock_platform.stream.events import to_ms
from stock_platform.stream.feed.options import FeedOptions

FILE = "gaps.ndjson"


class FeedOutage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One outage of one feed; times are milliseconds since the epoch, 0 when unknown.

    The manifest's names are older than ours: `heard_until` and `heard_again`.
    """

    feed: str
    channels: list[str]
    last_received: int = msgspec.field(name="heard_until")
    first_received: int = msgspec.field(name="heard_again")
    reason: str
    last_event: int = 0
    """`t` (or `s`) of the last event before, which of a delayed feed is minutes older."""
    first_event: int = 0


@dataclass(frozen=True, slots=True)
class OpenOutage:
    """The end of one connection, kept until the feed streams again; times in seconds."""

    last_received: float
    last_event: int
    reason: str

    def to_gap(self, feed: FeedOptions, streaming_at: float, first_frame: bytes) -> FeedOutage:
        """Return the manifest's line for a feed that streams again since `streaming_at`."""
        return FeedOutage(
            feed.name,
            list(feed.channels),
            int(self.last_received * 1000),
            int(streaming_at * 1000),
            self.reason,
            self.last_event,
            min(event_times_ms(first_frame), default=0),
        )


UNREADABLE = FeedOutage("", [], 0, 0, "this line of the manifest is torn")


def record(journal: Path, gap: FeedOutage) -> None:
    """Append one gap, durably; raise `OSError` when the disk is full."""
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
