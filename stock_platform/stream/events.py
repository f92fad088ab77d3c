"""The feed's events as values, decoded by their names and never by their position.

A whole frame is decoded at once; when that fails (an unknown `ev`, a wrong
type), event by event, so that one odd event never costs its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import msgspec

Number: TypeAlias = int | float | None
TIME_MAX = 1 << 62
MS_END = 100_000_000_000_000
"""A time in milliseconds has at most 14 digits until the year 5138."""
Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-TIME_MAX, le=TIME_MAX)]
"""A time or sequence number: beyond this no clock and no counter goes."""


class Bar(msgspec.Struct, tag_field="ev", tag="AM", gc=False):
    """A minute bar; `e` is the exclusive end the vendor sends."""

    sym: str
    s: Whole
    e: Whole = 0
    o: Number = None
    h: Number = None
    l: Number = None  # noqa: E741 the vendor's name
    c: Number = None
    v: Number = None
    dv: str | None = None
    vw: Number = None


class Trade(msgspec.Struct, tag_field="ev", tag="T", gc=False):
    """A trade; `t` is in ms, us or ns by its digits."""

    sym: str
    t: Whole
    q: Whole = 0
    p: Number = None
    s: Number = None
    ds: str | None = None
    c: list[int] | None = None


class Quote(msgspec.Struct, tag_field="ev", tag="Q", gc=False):
    """A best bid and offer."""

    sym: str
    t: Whole
    q: Whole = 0
    bp: Number = None
    bs: Number = None
    ap: Number = None
    as_: Number = msgspec.field(default=None, name="as")


class Fmv(msgspec.Struct, tag_field="ev", tag="FMV", gc=False):
    """A fair market value."""

    sym: str
    t: Whole
    fmv: Number = None


class Status(msgspec.Struct, tag_field="ev", tag="status", gc=False):
    """Of interest to the reader only."""


class Second(msgspec.Struct, tag_field="ev", tag="A", gc=False):
    """A second bar, not subscribed."""


class Luld(msgspec.Struct, tag_field="ev", tag="LULD", gc=False):
    """A price band, not subscribed."""


class Imbalance(msgspec.Struct, tag_field="ev", tag="NOI", gc=False):
    """An auction imbalance, not subscribed."""


class LaunchpadValue(msgspec.Struct, tag_field="ev", tag="LV", gc=False):
    """A value of another product, not subscribed."""


Event: TypeAlias = Bar | Trade | Quote | Fmv | Status | Second | Luld | Imbalance | LaunchpadValue


@dataclass(slots=True)
class Decoded:
    """A frame's events, and how many of it were unknown or malformed (with one reason)."""

    events: Sequence[Event]
    unknown: int = 0
    malformed: list[tuple[str, bytes]] = field(default_factory=list)


_FRAME = msgspec.json.Decoder(list[Event])
_EVENT = msgspec.json.Decoder(Event)
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class _Named(msgspec.Struct):
    ev: str


_NAMED = msgspec.json.Decoder(_Named)
KNOWN = frozenset({"AM", "T", "Q", "FMV", "status", "A", "LULD", "NOI", "LV"})


def decode(frame: bytes) -> Decoded:
    """Decode one frame; what cannot be decoded is counted, never dropped in silence.

    >>> decode(b'[{"ev":"FMV","sym":"A","t":1795276800000,"fmv":1.5}]').events
    [Fmv(sym='A', t=1795276800000, fmv=1.5)]
    """
    try:
        return Decoded(_FRAME.decode(frame))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _one_by_one(frame)


def _one_by_one(frame: bytes) -> Decoded:
    try:
        raws = _RAWS.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Decoded([], malformed=[(str(error), frame)])
    found: list[Event] = []
    result = Decoded(found)
    for raw in raws:
        try:
            found.append(_EVENT.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if name_of(raw) in KNOWN | {None}:
                result.malformed.append((str(error), bytes(raw)))
            else:
                result.unknown += 1
    return result


def name_of(raw: msgspec.Raw | bytes) -> str | None:
    """Return an event's `ev`; None when it is no object with one."""
    try:
        return _NAMED.decode(raw).ev
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def to_ms(time: int) -> int:
    """Return a time of the feed in ms, by its digits (13 ms, 16 us, 19 ns): it mixes them.

    >>> to_ms(1795276800000123)
    1795276800000
    """
    if time < MS_END:
        return time
    return time // 1000 if time < MS_END * 1000 else time // 1_000_000
