"""A session's coverage recomputed from evidence, beside the stored one, with who proved what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from stock_platform.domain.coverage import SessionCoverage, universe_digest
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.derive import replay_responses
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.inspection import Defect
from stock_platform.lake.object_store import ObjectStore
from stock_platform.pipelines.verify.certificate import EmptyEvidence

_OVERLAYS = frozenset({"expected", "refused", "healed"})
"""States that say more about minutes which are in another state too."""
_ACCOUNTED = frozenset({"observed", "empty", "silent"})


@dataclass(frozen=True, slots=True)
class StoredCoverage:
    """A session's coverage as it is stored, and its summary (a row of `SUMMARIES`)."""

    coverage: SessionCoverage
    summary: dict[str, Any]

    @classmethod
    def load(cls, store: ObjectStore, grid: MinuteGrid) -> Self | None:
        """Load what is stored of a session; None when it was made for a grid of another width."""
        coverage = coverage_table.load(store, grid)
        if coverage is None:
            return None
        [summary] = coverage_table.summaries(store, [grid.session]).to_dicts()
        return cls(coverage, summary)

    def is_current(self, derived: SessionCoverage) -> bool:
        """Return whether it was made for what is expected now: then readers believe it."""
        digest = self.summary["universe"]
        if digest is not None:
            return digest == universe_digest(derived.symbols, derived.grid)
        return np.array_equal(self.coverage.symbols, derived.symbols)

    def summary_faults(self) -> list[str]:
        """Name the totals, which sensors read, that its own bitmaps contradict."""
        totals = self.coverage.totals(self.summary["due"])
        return [
            f"the stored total of {name} is {self.summary[name]:,}, its bitmaps hold {total:,}"
            for name, total in totals.items()
            if self.summary[name] != total
        ]


def differences(
    stored: SessionCoverage, derived: SessionCoverage, *, claims_only: bool
) -> Iterator[Defect]:
    """Name for every symbol what is stored about its minutes and not what evidence shows.

    With `claims_only` only minutes that are stored as accounted for and are not: what is
    derived again before it is used may lack what arrived since.
    """
    at = stored.rows_of(derived.symbols)
    known = np.flatnonzero(at >= 0)
    names, before = _codes(stored, at[known])
    _, now = _codes(derived, known)
    differs = before != now
    if claims_only:
        accounted = [code for code, name in enumerate(names) if name in _ACCOUNTED]
        differs &= np.isin(before, accounted) & ~np.isin(now, accounted)
    refused = (stored.states()["refused"][at[known]] != derived.states()["refused"][known]) & (
        before == now
    )
    for n in np.flatnonzero((differs | refused).any(axis=1)):
        symbol = str(derived.symbols[known[n]])
        for detail in _row_differences(names, (before[n], now[n]), differs[n], derived):
            yield Defect(kind="coverage", where=symbol, detail=detail)
        if refused[n].any() and not claims_only:
            count = int(refused[n].sum())
            detail = f"{count} minutes are refused in one of stored and evidence only"
            yield Defect(kind="coverage", where=symbol, detail=detail)
    if not claims_only:
        yield from _authority_differences(stored, derived, at, known)


def _codes(coverage: SessionCoverage, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the names of the states and, per minute, the place of its state among them."""
    states = {name: mask for name, mask in coverage.states().items() if name not in _OVERLAYS}
    codes = np.full((len(rows), coverage.grid.width), -1, dtype=np.int8)
    for code, mask in enumerate(states.values()):
        codes[mask[rows]] = code
    return list(states), codes


def _row_differences(
    names: list[str],
    codes: tuple[np.ndarray, np.ndarray],
    differs: np.ndarray,
    derived: SessionCoverage,
) -> Iterator[str]:
    before, now = codes
    pairs = sorted({(int(one), int(other)) for one, other in zip(before, now, strict=True)})
    for one, other in pairs:
        slots = np.flatnonzero(differs & (before == one) & (now == other))
        if len(slots):
            first, last = (_clock(derived, int(slot)) for slot in (slots[0], slots[-1]))
            kept, shown = (names[code] if code >= 0 else "unexpected" for code in (one, other))
            yield (
                f"stored as {kept}, {shown} by the evidence: {len(slots)} minutes "
                f"from {first} to {last}"
            )


def _clock(coverage: SessionCoverage, slot: int) -> str:
    return f"{coverage.grid.minute(slot).astimezone(NEW_YORK):%H:%M}"


def _authority_differences(
    stored: SessionCoverage, derived: SessionCoverage, at: np.ndarray, known: np.ndarray
) -> Iterator[Defect]:
    """Name symbols that are stored as answered by a better source, or later, than was recorded."""
    before, now = stored.authority[at[known]], derived.authority[known]
    for n in np.flatnonzero(before != now):
        detail = f"the stored authority is {before[n]}, by the responses it is {now[n]}"
        yield Defect(kind="coverage", where=str(derived.symbols[known[n]]), detail=detail)
    verified, answered = stored.verified_at[at[known]], derived.verified_at[known]
    apart = (verified != answered) & ~(np.isnat(verified) & np.isnat(answered))
    for n in np.flatnonzero(apart):
        detail = f"stored as verified at {verified[n]}, by the responses at {answered[n]}"
        yield Defect(kind="coverage", where=str(derived.symbols[known[n]]), detail=detail)


def empty_evidence(
    derived: SessionCoverage, responses: pl.DataFrame, policy: SettlementPolicy
) -> tuple[EmptyEvidence, ...]:
    """Count the minutes proven empty by the provider and revision whose responses prove them.

    A minute that several prove counts for the best revision, then by the provider's name.
    Each group's responses are replayed as all of them were, so that the rules are the same.
    """
    left = derived.states()["empty"].copy()
    if not left.any():
        return ()
    answered = responses.filter(pl.col("outcome") == "ok").select("revision", "provider").unique()
    proving = [row for row in answered.rows() if Revision(row[0]).proves_empty]
    ranked = sorted(proving, key=lambda row: (-Revision(row[0]).rank, row[1]))
    found: list[EmptyEvidence] = []
    if len(ranked) == 1:
        [(revision, provider)] = ranked
        return (EmptyEvidence(provider=provider, revision=revision, minutes=int(left.sum())),)
    for revision, provider in ranked:
        own = (pl.col("provider") == provider) & (pl.col("revision") == revision)
        alone = SessionCoverage.blank(derived.grid, derived.symbols.tolist())
        alone.bits["observed"][:] = derived.bits["observed"]
        replay_responses(alone, responses.filter(own), policy)
        proven = left & alone.bits["empty"]
        if minutes := int(proven.sum()):
            found.append(EmptyEvidence(provider=provider, revision=revision, minutes=minutes))
        left &= ~proven
    if minutes := int(left.sum()):
        found.append(EmptyEvidence(provider="several", revision="", minutes=minutes))
    return tuple(found)
