"""When the lists of a provider held each symbol, from its snapshots one after the other.

Tolerant of what lists get wrong: a symbol that is absent for a day and then listed again as
the same security never left, an identity that comes late or only now and then is the same,
and a symbol that another security has later is another listing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import polars as pl

FLICKER = timedelta(days=10)
"""A security that is absent from the list for up to so long was listed all the time."""

_IDENTITY = ("symbol", "figi", "share_class_figi")
_ATTRIBUTES = ("cik", "name", "type", "provider", "listed_on", "delisted_on")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a list has of a security's identity: FIGIs of its composite and its share class."""

    figi: str | None = None
    share_class: str | None = None

    def may_be(self, other: "Identity") -> bool:
        """Return whether both can be one security: nothing that both have differs."""
        if self.figi and other.figi:
            return self.figi == other.figi
        if self.share_class and other.share_class:
            return self.share_class == other.share_class
        return True

    def is_surely(self, other: "Identity") -> bool:
        """Return whether both are one security by a FIGI that both have."""
        same_figi = bool(self.figi) and self.figi == other.figi
        return same_figi or (
            bool(self.share_class) and self.share_class == other.share_class and self.may_be(other)
        )

    def joined(self, other: "Identity") -> "Identity":
        return Identity(other.figi or self.figi, other.share_class or self.share_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One time in which the lists held a symbol for one security."""

    symbol: str
    security: str
    identity: Identity
    absent_before: date | None
    """The last snapshot before that lacks it; None: there is none."""
    first_seen: date
    last_seen: date
    absent_after: date | None
    """The first snapshot after that lacks it; None: the newest one lists it."""
    attributes: dict[str, Any]
    """The provider's other columns as of `last_seen`."""


@dataclass(slots=True, kw_only=True)
class _Open:
    symbol: str
    identity: Identity
    absent_before: date | None
    first_seen: date
    last_seen: date
    absent_after: date | None = None
    absent_snapshots: int = 0
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])


def listings_of(snapshots: Iterable[tuple[date, pl.DataFrame]]) -> list[Listing]:
    """Return every listing of the snapshots (frames of `SYMBOLS`, days rising), by symbol."""
    reading = _Reading()
    for day, rows in snapshots:
        reading.add(day, rows)
    return reading.finish()


class _Reading:
    """The snapshots so far: only what differs between two of them is looked at row by row."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._rows = pl.DataFrame()
        self._keys: set[tuple[str, str | None, str | None]] = set()
        self._listed: dict[str, _Open] = {}
        self._gone: dict[str, list[_Open]] = {}
        self._absent: set[str] = set()

    def add(self, day: date, rows: pl.DataFrame) -> None:
        alive = (pl.col("listed_on").is_null() | (pl.col("listed_on") <= day)) & (
            pl.col("delisted_on").is_null() | (pl.col("delisted_on") > day)
        )
        rows = rows.filter(alive)
        keys = set(rows.select(_IDENTITY).iter_rows())
        before = self._day
        left, came = self._keys - keys, keys - self._keys
        still = {symbol for symbol, _, _ in came}
        for symbol in self._absent - still:
            self._gone[symbol][-1].absent_snapshots += 1
        departed = {symbol for symbol, _, _ in left} - still
        for symbol, attributes in self._attributes_of(departed):
            self._leave(symbol, attributes, day)
        changed = {symbol for symbol, _, _ in left} & still
        attributes_before = dict(self._attributes_of(changed))
        for symbol, figi, share_class in sorted(came, key=lambda key: key[0]):
            identity = Identity(figi, share_class)
            known = self._listed.get(symbol)
            if known and known.identity.may_be(identity):
                known.identity = known.identity.joined(identity)
                continue
            if known:
                self._leave(symbol, attributes_before.get(symbol, {}), day)
                # Another security has the symbol: coming back later is no flicker.
                self._gone[symbol][-1].absent_snapshots += 1
            self._enter(symbol, identity, day, before)
        self._absent = (self._absent | {symbol for symbol, _, _ in left}) - self._listed.keys()
        self._day, self._rows, self._keys = day, rows, keys

    def finish(self) -> list[Listing]:
        attributes = dict(self._attributes_of(self._listed))
        for symbol, known in self._listed.items():
            known.attributes = attributes.get(symbol, {})
            if self._day:
                known.last_seen = self._day
        found = [*self._listed.values(), *(each for gone in self._gone.values() for each in gone)]
        composite: dict[str | None, str | None] = {
            each.identity.share_class: each.identity.figi
            for each in found
            if each.identity.share_class and each.identity.figi
        }
        ordered = sorted(found, key=lambda each: (each.symbol, each.first_seen))
        return [_finished(each, composite) for each in ordered]

    def _attributes_of(self, symbols: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        wanted = list(symbols)
        if wanted and self._rows.width:
            rows = self._rows.filter(pl.col("symbol").is_in(wanted))
            for row in rows.select("symbol", *_ATTRIBUTES).iter_rows(named=True):
                yield row.pop("symbol"), row

    def _leave(self, symbol: str, attributes: dict[str, Any], day: date) -> None:
        known = self._listed.pop(symbol, None)
        if known is not None and self._day is not None:
            known.attributes, known.last_seen, known.absent_after = attributes, self._day, day
            known.absent_snapshots = 1
            self._gone.setdefault(symbol, []).append(known)

    def _enter(self, symbol: str, identity: Identity, day: date, before: date | None) -> None:
        gone = self._gone.get(symbol, [])
        for number, known in enumerate(reversed(gone)):
            if self._flickered(known, identity, day):
                # What held the symbol in between, for less than a flicker, was the error.
                del gone[len(gone) - 1 - number :]
                known.absent_after, known.absent_snapshots = None, 0
                known.identity = known.identity.joined(identity)
                self._listed[symbol] = known
                return
        self._listed[symbol] = _Open(
            symbol=symbol, identity=identity, absent_before=before, first_seen=day, last_seen=day
        )

    @staticmethod
    def _flickered(known: _Open, identity: Identity, day: date) -> bool:
        if day - known.last_seen <= FLICKER:
            return known.identity.may_be(identity)
        # Of sparse snapshots one may lack it by mistake: until those between are taken.
        return known.absent_snapshots == 1 and known.identity.is_surely(identity)


def _finished(known: _Open, composite: dict[str | None, str | None]) -> Listing:
    identity = known.identity
    figi = identity.figi or composite.get(identity.share_class)
    identity = replace(identity, figi=figi)
    return Listing(
        symbol=known.symbol,
        security=identity.figi or identity.share_class or known.symbol,
        identity=identity,
        absent_before=known.absent_before,
        first_seen=known.first_seen,
        last_seen=known.last_seen,
        absent_after=known.absent_after,
        attributes=known.attributes,
    )
