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
from stock_platform.stream.events import TIME_MAX, Bar, Event, Fmv, Quote, Trade, to_ms
from stock_platform.stream.sinks.redis_values import TO_VALUE

SYMBOLS_MAX = 60_000
"""Four times what is listed; more is a broken feed and must not become our memory."""
PREFIXES: dict[type, str] = {
    Bar: "stock:agg1m:",
    Fmv: "stock:fmv:",
    Trade: "stock:trade:",
    Quote: "stock:quote:",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long each kind of value is kept, in seconds."""

    agg1m_s: int = 120
    fmv_s: int = 60
    trade_s: int = 60
    quote_s: int = 60

    def of(self) -> dict[type, int]:
        return {Bar: self.agg1m_s, Fmv: self.fmv_s, Trade: self.trade_s, Quote: self.quote_s}


@dataclass(frozen=True, slots=True)
class Update:
    """Values of one kind to be set: the keys, their JSON, and how long it is kept."""

    ttl_s: int
    keys: Sequence[bytes]
    values: Sequence[bytes]


class _Table:
    """The keys of one kind; a symbol's index is the same in every list."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.keys: list[bytes] = []
        self.times = array("q")
        self.sequences = array("q")
        self.pending: list[bytes | None] = []
        """The value to be set, without `updatedAt`; None while Redis has the newest."""
        self.changed: list[int] = []

    def add(self, symbol: str, key: bytes) -> int:
        self.index[symbol] = len(self.keys)
        self.keys.append(key)
        self.times.append(0)
        self.sequences.append(0)
        self.pending.append(None)
        return self.index[symbol]

    def restore(self, indexes: Sequence[int], pending: Sequence[bytes | None]) -> None:
        for at, body in zip(indexes, pending, strict=True):
            if self.pending[at] is None:
                self.pending[at] = body
                self.changed.append(at)


class Conflator:
    """Keeps the newest event of each key; `drain` returns the changed keys once."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self.refused_symbols = 0
        self.older = 0
        self._ttl = lifetimes.of()
        self._tables: dict[type, _Table] = {kind: _Table() for kind in PREFIXES}
        self._drained: list[tuple[_Table, list[int], list[bytes | None]]] = []
        self._unverified: list[tuple[_Table, int]] = []

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
                    self._add_one(event, _time_of(event), 0)
                continue
            at, time = table.index.get(event.sym), event.t
            if at is None:
                self._add_one(event, time, event.q)
                continue
            if time <= table.times[at]:
                if time < table.times[at] or event.q < table.sequences[at]:
                    self.older += 1
                    continue
            else:
                table.times[at] = time
            table.sequences[at] = event.q
            if table.pending[at] is None:
                table.changed.append(at)
            table.pending[at] = encode(to_value(event))

    def unverified_keys(self) -> list[bytes]:
        """Return the keys changed for the first time in this process's life.

        What Redis holds for them may be newer (a restart re-reads a little of
        the journal): read it, and `seed`.
        """
        return [table.keys[at] for table, at in self._unverified]

    def seed(self, stored: Sequence[bytes | None]) -> None:
        """Verify against what Redis holds for `unverified_keys`, in their order: newer stays."""
        for (table, at), value in zip(self._unverified, stored, strict=True):
            time, known = _stored_time(value) if value else None, table.times[at]
            if time is None or time <= to_ms(known):
                continue
            # In the unit this feed counts in; a damaged value may hold any number.
            table.times[at] = min(time * (known // max(to_ms(known), 1)), TIME_MAX)
            table.sequences[at] = 0
            if table.pending[at] is not None:
                table.pending[at] = None
                table.changed.remove(at)
        self._unverified = []

    def drain(self, now: datetime) -> list[Update]:
        """Return every changed key's newest value once; `requeue` undoes it."""
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # In place of a value's last brace.
        end = b',"updatedAt":"%b"}' % stamp.encode()
        updates: list[Update] = []
        for kind, table in self._tables.items():
            indexes, table.changed = table.changed, []
            if not indexes:
                continue
            pending = [table.pending[at] for at in indexes]
            for at in indexes:
                table.pending[at] = None
            keys = [table.keys[at] for at in indexes]
            updates.append(
                Update(self._ttl[kind], keys, [body[:-1] + end for body in pending if body])
            )
            self._drained.append((table, indexes, pending))
        return updates

    def requeue(self) -> None:
        """Queue what the last `drain` returned again, because it could not be set."""
        for table, indexes, pending in self._drained:
            table.restore(indexes, pending)
        self._drained = []

    def confirm(self) -> None:
        """Forget what the last `drain` returned: it is set."""
        self._drained = []

    def invalidate(self) -> None:
        """Make every key unverified again: another sidecar may have written meanwhile."""
        self._unverified = [
            (table, at) for table in self._tables.values() for at in range(len(table.keys))
        ]

    def _add_one(self, event: Any, time: int, sequence: int) -> None:
        table = self._tables[type(event)]
        at = table.index.get(event.sym)
        if at is None:
            at = self._register(type(event), event.sym)
        if at is None:
            return
        if (time, sequence) < (table.times[at], table.sequences[at]):
            self.older += 1
            return
        table.times[at], table.sequences[at] = time, sequence
        if table.pending[at] is None:
            table.changed.append(at)
        table.pending[at] = _encode(TO_VALUE[type(event)](event))

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
        at = table.add(symbol, f"{PREFIXES[kind]}{symbol}".encode())
        self._unverified.append((table, at))
        return at


def _time_of(event: Bar | Fmv) -> int:
    return event.s if isinstance(event, Bar) else to_ms(event.t)


class _Stored(msgspec.Struct):
    start: int | None = None
    ts: int | None = None


def _stored_time(value: bytes) -> int | None:
    try:
        stored = msgspec.json.decode(value, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return stored.start if stored.ts is None else stored.ts


_encode = msgspec.json.Encoder().encode
