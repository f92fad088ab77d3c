"""The symbols expected on each session, read once for many sessions.

The whole market is who was listed on the session, as `symbol_spans` has it, and whoever had
bars there. A watchlist is its symbols, and the other symbols that its securities had.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate

import polars as pl

from stock_platform.domain.coverage import digest_of, symbol_hash, universe_digest
from stock_platform.domain.reference import SYMBOLS
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PermanentError
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.settings import MarketSettings

DELISTING = "delisting"
"""Evidence of a span's end: the day that the provider dates the delisting."""

_Times = dict[str, list[tuple[date, date]]]
_Sums = tuple[list[date], list[int], _Times]
"""Days on which the universe changes, the sum of its symbols' hashes before the first of them
and from each on, and the times in which each symbol is listed."""


@dataclass(slots=True, kw_only=True)
class UniverseBySession:
    """The universe of every session, from the tables of one lake at one time.

    Reads the spans once, and of a session only who was unexpected there: five sessions of
    8,000 symbols take some milliseconds.
    """

    store: ObjectStore
    watched: frozenset[str] | None
    """None: the whole market."""
    spans: pl.DataFrame
    """Of the watched securities, else of all."""
    known_until: date | None
    """The newest snapshot that the spans were made from."""
    snapshots: list[date]
    """Days with a snapshot of the listed symbols, rising."""
    unexpected: set[date]
    """Sessions on which somebody traded who was not expected."""
    _sums: _Sums | None = None
    _rows: dict[date, pl.DataFrame] = field(default_factory=dict[date, pl.DataFrame])

    @classmethod
    def load(cls, store: ObjectStore, market: MarketSettings) -> "UniverseBySession":
        """Read who was listed and who traded."""
        spans = read.table(store, "symbol_spans", None)
        known_until = spans["seen_on"].max()
        watched = None if market.symbols is None else frozenset(market.symbols)
        if watched is not None:
            spans = of_securities(spans, watched)
        return cls(
            store=store,
            watched=watched,
            spans=spans,
            known_until=known_until if isinstance(known_until, date) else None,
            snapshots=sorted(read.sessions_present(store, "reference_symbols")),
            unexpected=(
                read.sessions_present(store, "unexpected_symbols") if watched is None else set()
            ),
        )

    def on(self, session: date) -> list[str]:
        """Return the symbols expected on a session, sorted.

        Raise `PermanentError` with the remedy for the whole market without a snapshot.
        """
        return sorted(self._listed(session) | self._traded(session))

    def digest(self, grid: MinuteGrid) -> str:
        """Return `universe_digest` of a session's symbols and minutes, without making the set."""
        session = grid.session
        if self.watched is not None or not self._is_known(self._snapshot_of(session)):
            return universe_digest(self.on(session), grid)
        if not self._sums:
            self._sums = _sums(self.spans)
        days, sums, spans = self._sums
        total = sums[bisect_right(days, session)]
        for symbol in self._traded(session):
            if not any(begin <= session < end for begin, end in spans.get(symbol, ())):
                total += symbol_hash(symbol)
        return digest_of(total, grid)

    def _traded(self, session: date) -> set[str]:
        if session not in self.unexpected:
            return set()
        return set(read.table(self.store, "unexpected_symbols", session)["symbol"])

    def _listed(self, session: date) -> set[str]:
        newest = self._snapshot_of(session)
        known = self._is_known(newest)
        if self.watched is not None:
            # The list can lack a symbol that trades: only a dated delisting ends it.
            gone = self._delisted(session) if known else self._delisted_by(newest, session)
            return self._alive(session) | (self.watched - gone)
        return self._alive(session) if known else self._listed_by(newest, session)

    def _is_known(self, snapshot: date | None) -> bool:
        """Return whether the spans were made from a snapshot, or there is none."""
        return snapshot is None or (self.known_until is not None and snapshot <= self.known_until)

    def _snapshot_of(self, session: date) -> date | None:
        """Return the newest snapshot up to a session, else the oldest after it."""
        if not self.snapshots:
            if self.watched is None:
                raise PermanentError(
                    "STOCKS_SYMBOLS is * but reference/symbols is empty: materialize it first"
                )
            return None
        at = bisect_right(self.snapshots, session)
        return self.snapshots[max(at - 1, 0)]

    def _alive(self, session: date) -> set[str]:
        return set(self.spans.filter(is_alive(session))["symbol"])

    def _delisted(self, session: date) -> set[str]:
        dated = (pl.col("to_evidence") == DELISTING) & (pl.col("to_on") <= session)
        return set(self.spans.filter(dated)["symbol"]) - self._alive(session)

    def _delisted_by(self, snapshot: date | None, session: date) -> set[str]:
        rows = self._snapshot(snapshot)
        return set(rows.filter(pl.col("delisted_on") <= session)["symbol"])

    def _listed_by(self, snapshot: date | None, session: date) -> set[str]:
        listed = (pl.col("listed_on").is_null() | (pl.col("listed_on") <= session)) & (
            pl.col("delisted_on").is_null() | (pl.col("delisted_on") > session)
        )
        return set(self._snapshot(snapshot).filter(listed)["symbol"])

    def _snapshot(self, day: date | None) -> pl.DataFrame:
        if day is None:
            return pl.DataFrame(schema=SYMBOLS)
        if day not in self._rows:
            self._rows = {day: read.table(self.store, "reference_symbols", day)}
        return self._rows[day]


def is_alive(session: date) -> pl.Expr:
    """Return whether a span of `SYMBOL_SPANS` holds the session."""
    begun = pl.col("from_on").is_null() | (pl.col("from_on") <= session)
    return begun & (pl.col("to_on").is_null() | (pl.col("to_on") > session))


def of_securities(spans: pl.DataFrame, symbols: frozenset[str]) -> pl.DataFrame:
    """Return every span of the securities that hold `symbols`, or held them last.

    A symbol that several securities had one after the other names the newest of them.
    """
    named = spans.filter(pl.col("symbol").is_in(sorted(symbols)))
    latest = named.sort("from_on", nulls_last=False).unique("symbol", keep="last")
    return spans.filter(pl.col("security").is_in(latest["security"].implode()))


def _sums(spans: pl.DataFrame) -> _Sums:
    times: _Times = {}
    rows = spans.select("symbol", "from_on", "to_on").sort("symbol", "from_on", nulls_last=False)
    for symbol, from_on, to_on in rows.iter_rows():
        begin, end = from_on or date.min, to_on or date.max
        known = times.setdefault(symbol, [])
        if known and begin <= known[-1][1]:
            known[-1] = (known[-1][0], max(known[-1][1], end))
        else:
            known.append((begin, end))
    changes: dict[date, int] = {}
    for symbol, listed in times.items():
        weight = symbol_hash(symbol)
        for begin, end in listed:
            changes[begin] = changes.get(begin, 0) + weight
            changes[end] = changes.get(end, 0) - weight
    days = sorted(changes)
    return days, [0, *accumulate(changes[day] for day in days)], times
