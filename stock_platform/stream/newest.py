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

SEQUENCE_BITS = 40
"""Order of a trade or quote in one number: kept per key, it costs less than the event would."""
SYMBOLS_MAX = 60_000
"""Four times what is listed; more is a broken feed and must not become our memory."""
PREFIXES: dict[type, str] = {
    Bar: "stock:agg1m:",
    Fmv: "stock:fmv:",
    Trade: "stock:trade:",
    Quote: "stock:quote:",
}


class Entry(msgspec.Struct, gc=False):
    """One key to be set; a struct because thousands are made every flush."""

    key: bytes
    value: bytes
    ttl_s: int
    packed_key: bytes = b""
    """The key as Redis wants it, when it is known already."""


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


class _Key:
    """What is known of one key. One object, so that an event costs one look-up and not five."""

    __slots__ = ("event", "key", "order", "packed")

    def __init__(self, key: bytes, order: int) -> None:
        self.key = key
        self.packed = b"$%d\r\n%b\r\n" % (len(key), key)
        self.order = order
        self.event: Wanted | None = None
        """Waits to be set; None while Redis has the newest."""


class Newest:
    """Takes events in order of arrival; `drain` gives the changed keys once."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self.refused_symbols = 0
        self.older = 0
        self._ttl = lifetimes.of()
        self._keys: dict[type, dict[str, _Key]] = {kind: {} for kind in PREFIXES}
        self._changed: dict[type, list[_Key]] = {kind: [] for kind in PREFIXES}
        self._handed: list[tuple[_Key, Wanted]] = []
        self._unseen: list[_Key] = []

    @property
    def waiting(self) -> int:
        return sum(map(len, self._changed.values()))

    def take(self, events: Iterable[Event]) -> None:
        """Keep each event that is not older than what its key already has."""
        tables: dict[type, tuple[dict[str, _Key], list[_Key]]] = {
            kind: (self._keys[kind], self._changed[kind]) for kind in (Quote, Trade)
        }
        for event in cast("Iterable[Any]", events):
            # Quotes and trades are 98% of a busy feed: their path comes first and is inlined.
            table = tables.get(type(event))
            if table is None:
                if isinstance(event, _BARS):
                    self._take_other(event, _order(event))
                continue
            keys, changed = table
            key = keys.get(event.sym)
            order = (event.t << SEQUENCE_BITS) + event.q
            if key is None or order < key.order:
                self._take_other(event, order)
                continue
            key.order = order
            if key.event is None:
                changed.append(key)
            key.event = event

    def unseen(self) -> list[bytes]:
        """Give the keys changed for the first time in this process's life.

        What Redis holds for them may be newer (a restart re-reads a little of
        the journal): ask, and `learn`.
        """
        return [key.key for key in self._unseen]

    def learn(self, stored: Sequence[bytes | None]) -> None:
        """Take the values Redis holds for the `unseen` keys, in their order; a newer one stays."""
        for key, value in zip(self._unseen, stored, strict=True):
            time = _time_in(value) if value else None
            if key.event is not None and time is not None and time > _time_ms(key.event):
                key.order = _order_at(key.event, time)
                self._changed[type(key.event)].remove(key)
                key.event = None
        self._unseen = []

    def drain(self, now: datetime) -> list[Entry]:
        """Give every changed key's newest value once; `restore` undoes it."""
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entries: list[Entry] = []
        handed: list[tuple[_Key, Wanted]] = []
        for kind, changed in self._changed.items():
            ttl, to_value = self._ttl[kind], _VALUES[kind]
            for key in changed:
                event = key.event
                if event is not None:
                    key.event = None
                    value = _encode(to_value(event, stamp))
                    entries.append(Entry(key.key, value, ttl, key.packed))
                    handed.append((key, event))
            self._changed[kind] = []
        self._handed = handed
        return entries

    def restore(self) -> None:
        """Take back what the last `drain` gave, because it could not be set."""
        for key, event in self._handed:
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

    def _take_other(self, event: Wanted, order: int) -> None:
        kind = type(event)
        key = self._keys[kind].get(event.sym)
        if key is None:
            key = self._admit(event, order)
            if key is None:
                return
        elif order < key.order:
            self.older += 1
            return
        key.order = order
        if key.event is None:
            self._changed[kind].append(key)
        key.event = event

    def _admit(self, event: Wanted, order: int) -> _Key | None:
        kind = type(event)
        try:
            parse_symbol(event.sym)
        except Malformed:
            self.refused_symbols += 1
            return None
        if len(self._keys[kind]) >= SYMBOLS_MAX:
            self.refused_symbols += 1
            return None
        key = _Key(f"{PREFIXES[kind]}{event.sym}".encode(), order)
        self._keys[kind][event.sym] = key
        self._unseen.append(key)
        return key


def _order(event: Wanted) -> int:
    if isinstance(event, Bar):
        return event.s
    if isinstance(event, Fmv):
        return to_ms(event.t)
    return (event.t << SEQUENCE_BITS) + event.q


def _time_ms(event: Wanted) -> int:
    return event.s if isinstance(event, Bar) else to_ms(event.t)


def _order_at(event: Wanted, time_ms: int) -> int:
    """Give the order of a stored time, in the unit `event` counts in."""
    if isinstance(event, Bar | Fmv):
        return time_ms
    unit = event.t // max(to_ms(event.t), 1)
    return time_ms * unit << SEQUENCE_BITS


class _Stored(msgspec.Struct):
    start: int | None = None
    ts: int | None = None


def _time_in(value: bytes) -> int | None:
    try:
        stored = msgspec.json.decode(value, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return stored.start if stored.ts is None else stored.ts


_encode = msgspec.json.Encoder().encode


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
