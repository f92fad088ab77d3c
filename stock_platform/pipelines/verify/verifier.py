"""Verify sessions: inspect their objects, recompute their coverage, certify what is there.

Only reads. Writers may be at work: a session in which something seems wrong while its
objects change is verified again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import SessionCoverage, universe_digest
from stock_platform.domain.responses import with_authority
from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.errors import InvalidDataError, PermanentError, TransientError
from stock_platform.healing.derive import carry_history
from stock_platform.lake import read, tables
from stock_platform.lake.append_log import read_responses
from stock_platform.lake.checksums import rows_digest
from stock_platform.lake.inspection import DECODE_ERRORS, Defect, Inspected
from stock_platform.lake.object_store import ObjectMeta
from stock_platform.lake.stream_parts import read_connections
from stock_platform.lake.tables import TABLES
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.universe.expected import UniverseBySession
from stock_platform.pipelines.verify.certificate import Certificate, EmptyEvidence
from stock_platform.pipelines.verify.evidence import (
    StoredCoverage,
    differences,
    empty_evidence,
)
from stock_platform.pipelines.verify.provider_record import ProviderRecord
from stock_platform.pipelines.verify.session_objects import (
    ACTION_TABLES,
    SharedObjects,
    by_session,
    foreign_objects,
    inspect_listed,
    objects_of,
    quarantined_rows,
)

TRIES_MAX = 3
"""Times a session is verified when its objects change meanwhile."""

_EVIDENCE = frozenset({"minute_bars", "minute_bars_live", "answers", "stream_log"})
_UNUSABLE = frozenset({"damaged", "unreadable", "schema", "misplaced", "foreign"})


@dataclass(slots=True, kw_only=True)
class Verifier:
    """Verifies sessions of one lake; with `record` compares their bars with the provider's."""

    context: LakeContext
    record: ProviderRecord | None = None
    by_symbol: bool = False
    _shared: SharedObjects = field(init=False)
    _expected: UniverseBySession | None = None
    _listed: dict[str, list[ObjectMeta]] | None = None
    _listing: list[ObjectMeta] = field(default_factory=list[ObjectMeta])
    _seen: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._shared = SharedObjects(store=self.context.store)

    def list_lake(self) -> None:
        """List the whole lake once, for many sessions and for `verify_rest`."""
        self._listing = self.context.store.list("")
        self._listed = by_session(self._listing)

    def verify(self, session: date) -> Certificate:
        """Return the certificate of a closed session.

        Raise `TransientError` when its objects kept changing while something seemed wrong,
        and what `LakeContext.universe` raises for settings that name no symbols.
        """
        for tried in range(TRIES_MAX):
            listed = None if tried or self._listed is None else self._listed.get(str(session), [])
            objects = objects_of(self.context.store, session) if listed is None else listed
            certificate = self._certify(session, [meta.path for meta in objects])
            if certificate.ok or objects == objects_of(self.context.store, session):
                return certificate
            self._shared, self._expected = SharedObjects(store=self.context.store), None
        raise TransientError(f"{session} kept changing while it was verified: verify it later")

    def verify_rest(self) -> list[Defect]:
        """Inspect every object of the lake that no certificate covered; after `list_lake`."""
        rest = [meta for meta in self._listing if meta.path not in self._seen]
        inside = (meta.path for meta in rest if "/" in meta.path)
        found = [
            defect for item in inspect_listed(self.context.store, inside) for defect in item.defects
        ]
        return [*foreign_objects(rest), *found]

    def _certify(self, session: date, paths: Sequence[str]) -> Certificate:
        grid = self.context.calendar.grid(session)
        own = self._own_objects(session, paths)
        year, single = self._shared.year(session.year), self._shared.single()
        quarantine = self._shared.quarantine_since(session)
        items = [*own.items, *year.objects, *single, *quarantine]
        self._seen.update(item.path for item in items)
        defects = [defect for item in items for defect in item.defects]
        symbols, unknown = self._universe(session, defects)
        recomputed = _Recomputed() if symbols is None else self._recompute(grid, symbols, own)
        derived = recomputed.coverage
        record = None
        if self.record and symbols is not None and own.bars is not None:
            record = self.record.compare(grid, symbols, own.bars)
        return Certificate(
            session=session,
            grid={"digest": universe_digest([], grid), "minutes": grid.expected},
            universe={
                "digest": None if symbols is None else universe_digest(symbols, grid),
                "symbols": None if symbols is None else len(symbols),
            },
            counts=None if derived is None else derived.totals(),
            empty_evidence=recomputed.empty_evidence,
            stored_coverage=recomputed.stored_coverage,
            quarantined=quarantined_rows(quarantine, session),
            digests={
                "minute_bars": _digest("minute_bars", own.bars),
                "minute_bars_history": _digest("minute_bars_history", own.history),
                "daily_bars": _digest("daily_bars", year.daily_bars_of(session)),
                "responses": _digest("answers", own.responses),
                "connections": _digest("stream_log", own.connections),
                **self._action_digests(symbols),
            },
            objects=len(items),
            without_checksum=sum(not item.has_checksum for item in items),
            settings=self._settings(),
            defects=_in_order([*defects, *unknown, *recomputed.defects]),
            symbols=_by_symbol(derived) if self.by_symbol and derived is not None else None,
            record=record,
        )

    def _own_objects(self, session: date, paths: Sequence[str]) -> "_OwnObjects":
        """Inspect the objects of a session and read its evidence, where all of it is sound."""
        store, items = self.context.store, list[Inspected]()
        bars, history = None, pl.DataFrame(schema=TABLES["minute_bars_history"].schema)
        for item in inspect_listed(store, paths):
            if item.path == tables.data("minute_bars", session):
                bars = item.rows
            if item.path == tables.data("minute_bars_history", session):
                history = item.rows
            # What is not needed again would add up: a session of quotes is as large as its bars.
            items.append(replace(item, rows=None))
        if any(_is_unusable(item) for item in items):
            return _OwnObjects(items=tuple(items), history=history)
        if any(item.path.startswith("minute_bars_live/") for item in items):
            bars = read.minute_bars(store, session)
        return _OwnObjects(
            items=tuple(items),
            bars=pl.DataFrame(schema=MINUTE_BARS) if bars is None else bars,
            history=history,
            responses=with_authority(read_responses(store, session)),
            connections=read_connections(store, session),
        )

    def _universe(
        self, session: date, defects: Sequence[Defect]
    ) -> tuple[list[str] | None, list[Defect]]:
        """Return the expected symbols; None, with the reason, where damage hides them."""
        try:
            self._expected = self._expected or self.context.universe_now()
            return self._expected.on(session), []
        except TransientError:
            raise
        except DECODE_ERRORS as error:
            names = ("reference_symbols", "unexpected_symbols")
            listed = [meta.path for name in names for meta in self.context.store.list(name)]
            inspected = inspect_listed(self.context.store, listed)
            damage = [defect for item in inspected for defect in item.defects]
            if not damage and not defects:
                raise
            detail = f"the expected symbols cannot be read: {str(error)[:200]}"
            return None, [Defect(kind="universe", where=str(session), detail=detail), *damage]

    def _recompute(
        self, grid: MinuteGrid, symbols: Sequence[str], own: "_OwnObjects"
    ) -> "_Recomputed":
        if own.responses is None:
            return _Recomputed()
        # What coverage follows from is decided in one place: the objects are read again.
        derived, policy = self.context.derive(grid, symbols), self.context.policy
        state, defects = self._compare(derived, own)
        return _Recomputed(
            coverage=derived,
            empty_evidence=empty_evidence(derived, own.responses, policy),
            stored_coverage=state,
            defects=defects,
        )

    def _compare(
        self, derived: SessionCoverage, own: "_OwnObjects"
    ) -> tuple[str, tuple[Defect, ...]]:
        """Return how the stored coverage compares with the derived one, and every difference.

        Which bars a heal brought is history that only the stored one has: `derived` gets it.
        """
        path = tables.data("coverage", derived.session)
        item = next((item for item in own.items if item.path == path), None)
        if item is None:
            return "absent", ()
        if item.defects:
            return "unreadable", ()
        stored = StoredCoverage.load(self.context.store, derived.grid)
        if stored is None:
            return "outdated", ()
        carry_history(derived, stored.coverage)
        # Live parts that were not counted yet make every reader derive coverage anew.
        uncounted = any(item.path.startswith("minute_bars_live/") for item in own.items)
        current = stored.is_current(derived) and not uncounted
        found = list(differences(stored.coverage, derived, claims_only=not current))
        faults = stored.summary_faults() if current else []
        found += [Defect(kind="coverage", where=path, detail=fault) for fault in faults]
        state = "different" if found else "equal" if current else "outdated"
        return state, tuple(found)

    def _action_digests(self, symbols: Sequence[str] | None) -> dict[str, str | None]:
        rows = None if symbols is None else self._shared.actions_of(symbols)
        if rows is None:
            return dict.fromkeys(ACTION_TABLES)
        return {name: _digest(name, frame) for name, frame in rows.items()}

    def _settings(self) -> dict[str, Any]:
        """Return the settings that a certificate depends on beside the lake."""
        market = self.context.market
        return {
            "symbols": "all" if market.symbols is None else "watchlist",
            "extended_hours": market.extended_hours,
            "settle_minutes": self.context.healing.settle_minutes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _OwnObjects:
    """The objects of one session, and its evidence: None where any of it is not sound."""

    items: tuple[Inspected, ...]
    bars: pl.DataFrame | None = None
    history: pl.DataFrame | None = None
    responses: pl.DataFrame | None = None
    connections: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recomputed:
    """What the evidence of a session shows; `coverage` None where it cannot be read."""

    coverage: SessionCoverage | None = None
    empty_evidence: tuple[EmptyEvidence, ...] = ()
    stored_coverage: str = "unchecked"
    defects: tuple[Defect, ...] = ()


def verify_session(
    context: LakeContext, session: date, *, record: ProviderRecord | None = None
) -> Certificate:
    """Return the certificate of one session; raise what `sessions_to_verify` and `verify` do."""
    sessions_to_verify(context, session, session, datetime.now(UTC))
    return Verifier(context=context, record=record).verify(session)


def sessions_to_verify(
    context: LakeContext, first: date | None, last: date | None, now: datetime
) -> list[date]:
    """Return the closed sessions from `first` to `last` that the lake should hold or has, newest
    first.

    Raise `PermanentError` when there is none, for one session with the reason.
    """
    days = {*context.sessions(now), *_days_held(context)}
    today = now.astimezone(NEW_YORK).date()
    known = sorted(day for day in days if day <= today and context.calendar.is_session(day))
    chosen = [day for day in known if (first or day) <= day <= (last or day)]
    closed = [day for day in chosen if context.calendar.grid(day).closes_at <= now]
    if closed:
        return closed[::-1]
    span = f"{known[0]} to {known[-1]}" if known else "none yet"
    if chosen:
        closes_at = context.calendar.grid(chosen[0]).closes_at
        raise PermanentError(
            f"{chosen[0]} closes at {closes_at:%H:%M} UTC: a session is verified once it is over"
        )
    requested = (
        "no session" if first is None else f"{first}" if first == last else f"{first}..{last}"
    )
    raise PermanentError(
        f"{requested}: not a session the lake should hold ({span}; see STOCKS_FIRST_SESSION)"
    )


def _days_held(context: LakeContext) -> Iterator[date]:
    """Return the days with bars or coverage; folders of any other name are passed over."""
    for table in ("coverage", "minute_bars", "minute_bars_live"):
        for folder in context.store.folders(table):
            try:
                day = tables.partition_of(folder)
            except InvalidDataError:
                continue  # Named by `verify_rest`.
            if isinstance(day, date):
                yield day


def _is_unusable(item: Inspected) -> bool:
    """Return whether an object keeps the evidence of its session from being read."""
    of_evidence = item.path.partition("/")[0] in _EVIDENCE
    return of_evidence and any(defect.kind in _UNUSABLE for defect in item.defects)


def _digest(table: str, rows: pl.DataFrame | None) -> str | None:
    return None if rows is None else rows_digest(rows, TABLES[table].key)


def _in_order(defects: Sequence[Defect]) -> tuple[Defect, ...]:
    """Return defects each once, in an order that does not depend on that of a listing."""
    return tuple(sorted(set(defects), key=lambda found: (found.where, found.kind, found.detail)))


def _by_symbol(coverage: SessionCoverage) -> dict[str, dict[str, int]]:
    counts = coverage.counts()
    return {
        str(symbol): {name: int(count[row]) for name, count in counts.items()}
        for row, symbol in enumerate(coverage.symbols)
    }
