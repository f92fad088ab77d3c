"""Which security had which symbol on which days: lists first, then what else is dated.

The lists of a provider say when a symbol came and went, to within two snapshots. Where in
between is dated by the dates of changes, listings and delistings, and by bars. A date outside
of what the lists allow is the date of somebody else, or wrong, and is passed over.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import polars as pl

from stock_platform.domain.reference import SYMBOL_SPANS
from stock_platform.pipelines.universe.expected import DELISTING
from stock_platform.pipelines.universe.listings import Listing

LATE = timedelta(days=14)
"""A list may show a symbol so many days late: its bars in this time are its own."""

_DAY = timedelta(days=1)
_Each = TypeVar("_Each")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known beside the lists; dates as they were dated, right or wrong."""

    snapshots: Sequence[date]
    """Days with a snapshot, rising."""
    changes: Mapping[str, Sequence[tuple[date, str]]]
    """Security -> its changes of symbol, rising."""
    listed_on: Mapping[str, date]
    delisted_on: Mapping[str, date]
    traded: Mapping[str, Sequence[date]]
    """Symbol -> sessions with a bar, rising; of symbols whose ends are in question."""


def spans_of(listings: Sequence[Listing], evidence: Evidence) -> pl.DataFrame:
    """Return a frame of `SYMBOL_SPANS`, by symbol and time.

    Spans of one symbol do not overlap: two securities never have it at once.
    """
    owned = _joined_by_changes(listings, evidence)
    by_symbol, by_security = _grouped(owned, "symbol"), _grouped(owned, "security")
    begun = [
        _Begun(each, *_begin(each, evidence, by_symbol[each.symbol], by_security[each.security]))
        for each in owned
    ]
    symbols, securities = _grouped(begun, "symbol"), _grouped(begun, "security")
    rows = [
        _span(each, evidence, symbols[each.symbol], securities[each.security]) for each in begun
    ]
    rows += _from_changes_alone(list(zip(owned, rows, strict=True)), evidence)
    rows = _without_overlap(rows)
    return pl.DataFrame(rows, schema=SYMBOL_SPANS).sort("symbol", "from_on", nulls_last=False)


def _grouped(items: Sequence[_Each], name: str) -> dict[str, list[_Each]]:
    groups: dict[str, list[_Each]] = {}
    for item in items:
        groups.setdefault(getattr(item, name), []).append(item)
    return groups


@dataclass(frozen=True, slots=True)
class _Begun:
    """A listing whose first day is decided."""

    listing: Listing
    on: date | None
    evidence: str | None

    @property
    def symbol(self) -> str:
        return self.listing.symbol

    @property
    def security(self) -> str:
        return self.listing.security


def _without_overlap(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let a span begin no earlier than another security gave the symbol up; drop empty ones."""
    kept: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["symbol"], row["to_on"] or date.max)):
        before = kept[-1] if kept and kept[-1]["symbol"] == row["symbol"] else None
        given_up = before["to_on"] if before else None
        if before and given_up and (row["from_on"] or date.min) < given_up:
            row |= {"from_on": given_up, "from_evidence": before["to_evidence"]}
        if (row["from_on"] or date.min) < (row["to_on"] or date.max):
            kept.append(row)
    return kept


def symbols_in_question(listings: Sequence[Listing]) -> set[str]:
    """Return the symbols whose listing begins or ends between snapshots: bars may tell where."""
    return {each.symbol for each in listings if each.absent_before or each.absent_after is not None}


def _span(
    begun: _Begun,
    evidence: Evidence,
    same_symbol: Sequence[_Begun],
    same_security: Sequence[_Begun],
) -> dict[str, Any]:
    listing = begun.listing
    # The symbol went to another security, or the security to another symbol.
    taken = [each.on for each in same_symbol if each.on and each.on > listing.last_seen]
    left = [each.on for each in same_security if each.on and each.on > listing.last_seen]
    to_on, to_evidence = _end(listing, evidence, taken, left)
    return {
        "symbol": listing.symbol,
        "security": listing.security,
        "from_on": begun.on,
        "to_on": to_on,
        "from_evidence": begun.evidence,
        "to_evidence": to_evidence,
        "seen_on": listing.last_seen,
    }


def _begin(
    listing: Listing,
    evidence: Evidence,
    same_symbol: Sequence[Listing],
    same_security: Sequence[Listing],
) -> tuple[date | None, str | None]:
    seen, absent = listing.first_seen, listing.absent_before
    dated = _dated_begins(listing, evidence)
    if absent is None:
        # Nothing refutes a date before the first snapshot but a later one.
        earlier = [(day, kind) for day, kind in dated if day <= seen]
        changed = [each for each in earlier if each[1] == "events"]
        return max(changed or earlier, default=(None, None))
    # A list may be late, but not while it has another security under the symbol.
    free = max((each.last_seen for each in same_symbol if each.last_seen < seen), default=date.min)
    since = max(min(absent + _DAY, seen - LATE), free + _DAY)
    # A security that left under one symbol came under the next: the list is late.
    dated += [
        (each.absent_after, "list")
        for each in same_security
        if each.symbol != listing.symbol and each.absent_after and seen - LATE <= each.absent_after
    ]
    begin, kind = min(
        ((day, kind) for day, kind in dated if since <= day <= seen), default=(seen, "list")
    )
    # While it is open when another security gave the symbol up, bars may be of that one.
    before = (each.absent_after for each in same_symbol if each.last_seen < seen)
    shared = any(given_up and given_up > since for given_up in before)
    sessions = () if shared else evidence.traded.get(listing.symbol, ())
    at = bisect_left(sessions, since)
    if at < len(sessions) and sessions[at] < begin:
        return sessions[at], "bars"
    return begin, kind


def _dated_begins(listing: Listing, evidence: Evidence) -> list[tuple[date, str]]:
    changes = evidence.changes.get(listing.security, ())
    dated = [(day, "events") for day, symbol in changes if symbol == listing.symbol]
    dates = [listing.attributes.get("listed_on"), evidence.listed_on.get(listing.security)]
    return dated + [(day, "details") for day in dates if isinstance(day, date)]


def _end(
    listing: Listing, evidence: Evidence, taken: Sequence[date], left: Sequence[date]
) -> tuple[date | None, str | None]:
    seen, absent = listing.last_seen, listing.absent_after
    dates = [listing.attributes.get("delisted_on"), evidence.delisted_on.get(listing.security)]
    dated: list[tuple[date, str]] = [
        (day, DELISTING) for day in dates if isinstance(day, date) and day > seen
    ]
    if absent is None:
        return min(dated, default=(None, None))
    changes = evidence.changes.get(listing.security, ())
    dated += [
        (later, "events")
        for (_, symbol), (later, _) in pairwise(changes)
        if symbol == listing.symbol and later > seen
    ]
    dated += [(day, "list") for day in (*taken, *left)]
    end, kind = min(((day, kind) for day, kind in dated if day <= absent), default=(absent, "list"))
    sessions = evidence.traded.get(listing.symbol, ())
    at = bisect_left(sessions, min([absent + LATE, *taken])) - 1
    if at >= 0 and sessions[at] >= end:
        return sessions[at] + _DAY, "bars"
    return end, kind


def _joined_by_changes(listings: Sequence[Listing], evidence: Evidence) -> list[Listing]:
    """Join a listing without a FIGI to the security whose changes name its symbol then."""
    holders: dict[str, list[tuple[date, date, str]]] = {}
    for security, changes in evidence.changes.items():
        for symbol, begin, end in _changed_spans(changes):
            holders.setdefault(symbol, []).append((begin, end, security))
    return [
        replace(listing, security=holder) if holder else listing
        for listing in listings
        for holder in [_holder(listing, holders.get(listing.symbol, ()))]
    ]


def _holder(listing: Listing, holders: Sequence[tuple[date, date, str]]) -> str | None:
    if listing.identity.figi or listing.identity.share_class:
        return None
    for begin, end, security in holders:
        if begin <= listing.last_seen and listing.first_seen < end:
            return security
    return None


def _from_changes_alone(
    listed: Sequence[tuple[Listing, dict[str, Any]]], evidence: Evidence
) -> list[dict[str, Any]]:
    """Return spans of symbols that no snapshot lists for the security, before it could have."""
    known = {listing.security for listing, _ in listed}
    both = {(listing.security, listing.symbol) for listing, _ in listed}
    times: dict[str, list[tuple[date, date]]] = {}
    for listing, row in listed:
        time = (row["from_on"] or listing.first_seen, row["to_on"] or date.max)
        times.setdefault(listing.symbol, []).append(time)
    rows: list[dict[str, Any]] = []
    for security in sorted(known & evidence.changes.keys()):
        for symbol, begin, end in _changed_spans(evidence.changes[security]):
            # A snapshot of that time would list it: from its day on the list contradicts, and
            # so it does where another security has the symbol.
            at = bisect_left(evidence.snapshots, begin)
            others = [max(since, begin) for since, to in times.get(symbol, ()) if to > begin]
            until = min([end, *evidence.snapshots[at : at + 1], *others])
            if (security, symbol) not in both and begin < until:
                rows.append(_changed_span(symbol, security, (begin, until), end))
    return rows


def _changed_span(
    symbol: str, security: str, days: tuple[date, date], dated_end: date
) -> dict[str, Any]:
    begin, until = days
    still = until == date.max
    kind = "events" if until == dated_end else "list"
    return {
        "symbol": symbol,
        "security": security,
        "from_on": begin,
        "to_on": None if still else until,
        "from_evidence": "events",
        "to_evidence": None if still else kind,
        "seen_on": None,
    }


def _changed_spans(changes: Sequence[tuple[date, str]]) -> list[tuple[str, date, date]]:
    """Return symbol, begin and end (`date.max`: still) of every change."""
    ends = [day for day, _ in changes[1:]] + [date.max]
    return [(symbol, day, end) for (day, symbol), end in zip(changes, ends, strict=True)]
