"""Of each key the newest event: what Redis should hold, conflated between flushes. Pure.

Older never replaces newer: AM by start, then order of arrival (a late trade
makes the feed send a minute again); T and Q by time, then sequence; FMV by
time. Equal events replace: `q` repeats at times and is no reason to drop one.

An event becomes the JSON of its value at once, and only that is kept: bytes in one
piece instead of a dozen objects all over the memory, which by the time of the flush
are no longer near the processor. Fetching those again would cost more than encoding
the events that are replaced before the flush.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from stock_platform.domain.symbols import parse_symbol
from stock_platform.errors import InvalidDataError
from stock_platform.stream.events import TIME_MAX, Bar, Event, Fmv, Quote, Trade
from stock_platform.stream.feed.gaps import to_ms
from stock_platform.stream.sinks.redis_values import TO_VALUE

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


@dataclass(frozen=True, slots=True)
class Update:
    """Values of one kind to be set: the keys, their JSON, and how long it is believed."""

    ttl_s: int
    keys: Sequence[bytes]
    values: Sequence[bytes]


class _Table:
    """The keys of one kind; a symbol's place is the same in every list."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.keys: list[bytes] = []
        self.times = array("q")
        self.sequences = array("q")
        self.bodies: list[bytes | None] = []
        """The value that waits to be set, but for `updatedAt`; None while Redis has the newest."""
        self.changed: list[int] = []

    def add(self, symbol: str, key: bytes) -> int:
        self.places[symbol] = len(self.keys)
        self.keys.append(key)
        self.times.append(0)
        self.sequences.append(0)
        self.bodies.append(None)
        return self.places[symbol]

    def restore(self, places: Sequence[int], bodies: Sequence[bytes | None]) -> None:
        for place, body in zip(places, bodies, strict=True):
            if self.bodies[place] is None:
                self.bodies[place] = body
                self.changed.append(place)


class Conflator:
    """Takes events in order of arrival; `drain` gives the changed keys once."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self.refused_symbols = 0
        self.older = 0
        self._ttl = lifetimes.of()
        self._tables: dict[type, _Table] = {kind: _Table() for kind in PREFIXES}
        self._handed: list[tuple[_Table, list[int], list[bytes | None]]] = []
        self._unseen: list[tuple[_Table, int]] = []

    @property
    def waiting(self) -> int:
        return sum(len(table.changed) for table in self._tables.values())

    def add(self, events: Iterable[Event]) -> None:
        """Keep each event that is not older than what its key already has."""
        quotes, trades = self._tables[Quote], self._tables[Trade]
        to_quote, to_trade, encode = TO_VALUE[Quote], TO_VALUE[Trade], _encode
        for event in cast("Iterable[Any]", events):
            # Quotes and trades are 98% of a busy feed: their path comes first and is inlined.
            kind = type(event)
            if kind is Quote:
                table, to_value = quotes, to_quote
            elif kind is Trade:
                table, to_value = trades, to_trade
            else:
                if kind in TO_VALUE:
                    self._take(event, _time_of(event), 0)
                continue
            place, time = table.places.get(event.sym), event.t
            if place is None:
                self._take(event, time, event.q)
                continue
            if time <= table.times[place]:
                if time < table.times[place] or event.q < table.sequences[place]:
                    self.older += 1
                    continue
            else:
                table.times[place] = time
            table.sequences[place] = event.q
            if table.bodies[place] is None:
                table.changed.append(place)
            table.bodies[place] = encode(to_value(event))

    def unverified_keys(self) -> list[bytes]:
        """Return the keys changed for the first time in this process's life.

        What Redis holds for them may be newer (a restart re-reads a little of
        the journal): ask, and `learn`.
        """
        return [table.keys[place] for table, place in self._unseen]

    def seed(self, stored: Sequence[bytes | None]) -> None:
        """Take the values Redis holds for the `unseen` keys, in their order; a newer one stays."""
        for (table, place), value in zip(self._unseen, stored, strict=True):
            time, known = _time_in(value) if value else None, table.times[place]
            if time is None or time <= to_ms(known):
                continue
            # In the unit this feed counts in; a value nobody meant may hold any number.
            table.times[place] = min(time * (known // max(to_ms(known), 1)), TIME_MAX)
            table.sequences[place] = 0
            if table.bodies[place] is not None:
                table.bodies[place] = None
                table.changed.remove(place)
        self._unseen = []

    def drain(self, now: datetime) -> list[Update]:
        """Return every changed key's newest value once; `restore` undoes it."""
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # In place of a value's last brace.
        end = b',"updatedAt":"%b"}' % stamp.encode()
        updates: list[Update] = []
        for kind, table in self._tables.items():
            places, table.changed = table.changed, []
            if not places:
                continue
            bodies = [table.bodies[place] for place in places]
            for place in places:
                table.bodies[place] = None
            keys = [table.keys[place] for place in places]
            updates.append(
                Update(self._ttl[kind], keys, [body[:-1] + end for body in bodies if body])
            )
            self._handed.append((table, places, bodies))
        return updates

    def requeue(self) -> None:
        """Take back what the last `drain` gave, because it could not be set."""
        for table, places, bodies in self._handed:
            table.restore(places, bodies)
        self._handed = []

    def confirm(self) -> None:
        """Let go of what the last `drain` gave: it is set."""
        self._handed = []

    def invalidate(self) -> None:
        """Forget what is known of Redis: another sidecar may have written meanwhile."""
        self._unseen = [
            (table, place) for table in self._tables.values() for place in range(len(table.keys))
        ]

    def _take(self, event: Any, time: int, sequence: int) -> None:
        table = self._tables[type(event)]
        place = table.places.get(event.sym)
        if place is None:
            place = self._register(type(event), event.sym)
        if place is None:
            return
        if (time, sequence) < (table.times[place], table.sequences[place]):
            self.older += 1
            return
        table.times[place], table.sequences[place] = time, sequence
        if table.bodies[place] is None:
            table.changed.append(place)
        table.bodies[place] = _encode(TO_VALUE[type(event)](event))

    def _register(self, kind: type, symbol: str) -> int | None:
        table = self._tables[kind]
        try:
            parse_symbol(symbol)
        except InvalidDataError:
            self.refused_symbols += 1
            return None
        if len(table.keys) >= SYMBOLS_MAX:
            self.refused_symbols += 1
            return None
        place = table.add(symbol, f"{PREFIXES[kind]}{symbol}".encode())
        self._unseen.append((table, place))
        return place


def _time_of(event: Bar | Fmv) -> int:
    return event.s if isinstance(event, Bar) else to_ms(event.t)


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
