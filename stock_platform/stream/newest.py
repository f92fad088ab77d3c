"""Of each key the newest event: what Redis should hold, conflated between flushes. Pure.

Older never replaces newer: AM by start, then order of arrival (a late trade
makes the feed send a minute again); T and Q by time, then sequence; FMV by
time. Equal events replace: `q` repeats at times and is no reason to drop one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from stock_platform.domain.problems import Malformed
from stock_platform.domain.symbol import parse_symbol
from stock_platform.stream.events import Bar, Event, Fmv, Quote, Trade, Wanted
from stock_platform.stream.gaps import MS_END, to_ms
from stock_platform.stream.values import FmvValue, MinuteValue, QuoteValue, TradeValue, number

SYMBOLS_MAX = 60_000
"""Four times what is listed; more is a broken feed and must not become our memory."""
PREFIXES: dict[type, str] = {
    Bar: "stock:agg1m:",
    Fmv: "stock:fmv:",
    Trade: "stock:trade:",
    Quote: "stock:quote:",
}


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each kind of value is believed."""

    agg1m_s: int = 120
    fmv_s: int = 60
    trade_s: int = 60
    quote_s: int = 60

    def of(self) -> dict[type, int]:
        return {Bar: self.agg1m_s, Fmv: self.fmv_s, Trade: self.trade_s, Quote: self.quote_s}


_BARS = (Bar, Fmv)


class Key:
    """What is known of one key. One object, so that an event costs one look-up and not five."""

    __slots__ = ("event", "name", "packed", "sequence", "time")

    def __init__(self, name: bytes, time: int = 0, sequence: int = 0) -> None:
        self.name = name
        self.packed = b"$%d\r\n%b\r\n" % (len(name), name)
        """The name as Redis wants it: packed once and not in every flush."""
        self.time = time
        self.sequence = sequence
        self.event: Wanted | None = None
        """Waits to be set; None while Redis has the newest."""


@dataclass(frozen=True, slots=True)
class Update:
    """Values of one kind to be set: the keys, their JSON, and how long it is believed."""

    ttl_s: int
    keys: Sequence[Key]
    values: Sequence[bytes]


class Newest:
    """Takes events in order of arrival; `drain` gives the changed keys once."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self.refused_symbols = 0
        self.older = 0
        self._ttl = lifetimes.of()
        self._keys: dict[type, dict[str, Key]] = {kind: {} for kind in PREFIXES}
        self._changed: dict[type, list[Key]] = {kind: [] for kind in PREFIXES}
        self._handed: list[tuple[list[Key], list[Wanted]]] = []
        self._unseen: list[Key] = []

    @property
    def waiting(self) -> int:
        return sum(map(len, self._changed.values()))

    def take(self, events: Iterable[Event]) -> None:
        """Keep each event that is not older than what its key already has."""
        quotes, quotes_changed = self._keys[Quote], self._changed[Quote]
        trades, trades_changed = self._keys[Trade], self._changed[Trade]
        for event in cast("Iterable[Any]", events):
            # Quotes and trades are 98% of a busy feed: their path comes first and is inlined.
            kind = type(event)
            if kind is Quote:
                keys, changed = quotes, quotes_changed
            elif kind is Trade:
                keys, changed = trades, trades_changed
            else:
                if isinstance(event, _BARS):
                    self._take_other(event)
                continue
            key = keys.get(event.sym)
            if key is None:
                self._take_other(event)
                continue
            time = event.t
            if time <= key.time and (time < key.time or event.q < key.sequence):
                self.older += 1
                continue
            key.time = time
            key.sequence = event.q
            if key.event is None:
                changed.append(key)
            key.event = event

    def unseen(self) -> list[bytes]:
        """Give the keys changed for the first time in this process's life.

        What Redis holds for them may be newer (a restart re-reads a little of
        the journal): ask, and `learn`.
        """
        return [key.name for key in self._unseen]

    def learn(self, stored: Sequence[bytes | None]) -> None:
        """Take the values Redis holds for the `unseen` keys, in their order; a newer one stays."""
        for key, value in zip(self._unseen, stored, strict=True):
            time = _time_in(value) if value else None
            if key.event is not None and time is not None and time > _time_ms(key.event):
                key.time, key.sequence = _time_like(key.event, time), 0
                self._changed[type(key.event)].remove(key)
                key.event = None
        self._unseen = []

    def drain(self, now: datetime) -> list[Update]:
        """Give every changed key's newest value once; `restore` undoes it."""
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        updates: list[Update] = []
        for kind, changed in self._changed.items():
            if not changed:
                continue
            to_value = _VALUES[kind]
            events = [cast("Wanted", key.event) for key in changed]
            # All at once: a line each, and no line break is ever inside one.
            lines = _encode_lines([to_value(event, stamp) for event in events]).split(b"\n")
            lines.pop()
            updates.append(Update(self._ttl[kind], changed, lines))
            for key in changed:
                key.event = None
            self._handed.append((changed, events))
            self._changed[kind] = []
        return updates

    def restore(self) -> None:
        """Take back what the last `drain` gave, because it could not be set."""
        for keys, events in self._handed:
            for key, event in zip(keys, events, strict=True):
                if key.event is None:
                    key.event = event
                    self._changed[type(event)].append(key)
        self._handed = []

    def confirm(self) -> None:
        """Let go of what the last `drain` gave: it is set."""
        self._handed = []

    def doubt(self) -> None:
        """Forget what is known of Redis: another sidecar may have written meanwhile."""
        self._unseen = [key for keys in self._keys.values() for key in keys.values()]

    def _take_other(self, event: Wanted) -> None:
        kind = type(event)
        time, sequence = _order(event)
        key = self._keys[kind].get(event.sym)
        if key is None:
            key = self._admit(event, time, sequence)
            if key is None:
                return
        elif (time, sequence) < (key.time, key.sequence):
            self.older += 1
            return
        key.time, key.sequence = time, sequence
        if key.event is None:
            self._changed[kind].append(key)
        key.event = event

    def _admit(self, event: Wanted, time: int, sequence: int) -> Key | None:
        kind = type(event)
        try:
            parse_symbol(event.sym)
        except Malformed:
            self.refused_symbols += 1
            return None
        if len(self._keys[kind]) >= SYMBOLS_MAX:
            self.refused_symbols += 1
            return None
        key = Key(f"{PREFIXES[kind]}{event.sym}".encode(), time, sequence)
        self._keys[kind][event.sym] = key
        self._unseen.append(key)
        return key


def _order(event: Wanted) -> tuple[int, int]:
    if isinstance(event, Bar):
        return event.s, 0
    if isinstance(event, Fmv):
        return to_ms(event.t), 0
    return event.t, event.q


def _time_ms(event: Wanted) -> int:
    return event.s if isinstance(event, Bar) else to_ms(event.t)


def _time_like(event: Wanted, time_ms: int) -> int:
    """Give a stored time in the unit `event` counts in."""
    if isinstance(event, Bar | Fmv):
        return time_ms
    return time_ms * (event.t // max(to_ms(event.t), 1))


class _Stored(msgspec.Struct):
    start: int | None = None
    ts: int | None = None


def _time_in(value: bytes) -> int | None:
    try:
        stored = msgspec.json.decode(value, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return stored.start if stored.ts is None else stored.ts


_encode_lines = msgspec.json.Encoder().encode_lines


def _ms(time: int) -> int:
    # Called for every changed key: the common unit is told without a second call.
    return time if time < MS_END else to_ms(time)


def _quote_value(event: Quote, stamp: str) -> QuoteValue:
    return QuoteValue(event.sym, event.bp, event.bs, event.ap, event.as_, _ms(event.t), stamp)


def _trade_value(event: Trade, stamp: str) -> TradeValue:
    size = event.s if event.ds is None else number(event.ds, event.s)
    return TradeValue(event.sym, event.p, _ms(event.t), size, event.c or [], stamp)


def _fmv_value(event: Fmv, stamp: str) -> FmvValue:
    return FmvValue(event.sym, event.fmv, _ms(event.t), stamp)


def _minute_value(bar: Bar, stamp: str) -> MinuteValue:
    # The vendor's end is the start of the next minute; the contract's is the last millisecond.
    end = bar.e - 1 if bar.e and bar.e % 1000 == 0 else bar.e or bar.s + 59_999
    volume = number(bar.dv, bar.v)
    return MinuteValue(bar.sym, bar.s, end, bar.o, bar.h, bar.l, bar.c, volume, bar.vw, stamp)


_VALUES: dict[type, Callable[[Any, str], msgspec.Struct]] = {
    Bar: _minute_value,
    Fmv: _fmv_value,
    Trade: _trade_value,
    Quote: _quote_value,
}
