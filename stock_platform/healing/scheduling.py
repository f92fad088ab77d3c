"""Decide which missing minutes are worth a run now, from coverage alone.

The sensor reads coverage and never the grid of all symbols and minutes. What
is too young, backing off or exhausted is left out, so a gap that cannot be
filled neither starves the others nor is retried for ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
import numpy as np

from stock_platform.domain.coverage import SessionCoverage, to_instant
from stock_platform.healing.retry import RetrySchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRange:
    """One session's minutes worth a request: slots `first` to `last`, both included."""

    session: date
    first: int
    last: int
    minutes: int
    """Missing symbol-minutes in it."""
    symbols: int


SETTLE = timedelta(minutes=20)
"""After this a provider's record of a minute counts as settled, where no setting is longer."""


def ready(coverage: SessionCoverage, now: datetime, backoff: RetrySchedule) -> np.ndarray:
    """Return bool[symbols]: neither waiting for its next retry nor exhausted."""
    waits = coverage.next_retry_at > to_instant(now)
    return ~waits & (coverage.attempts <= len(backoff.waits))


def retryable(
    coverage: SessionCoverage, now: datetime, *, backoff: RetrySchedule, settle: timedelta = SETTLE
) -> np.ndarray:
    """Return bool[symbols, width]: minutes of which a provider may have something new.

    A minute that was responded for while it was young is requested again once it has
    settled, not before; that never holds up another minute of the same symbol.
    """
    young = np.arange(coverage.grid.width) >= coverage.grid.closed_slots(
        now, settle.total_seconds()
    )
    return ready(coverage, now, backoff)[:, None] & ~(coverage.bits["asked"] & young)


def heal_range_of(
    coverage: SessionCoverage,
    now: datetime,
    *,
    grace_s: float,
    backoff: RetrySchedule,
    settle: timedelta = SETTLE,
) -> HealRange | None:
    """Return the span of minutes of one session that should be healed now, if any."""
    mask = coverage.missing(coverage.grid.closed_slots(now, grace_s))
    mask &= retryable(coverage, now, backoff=backoff, settle=settle)
    slots = np.flatnonzero(mask.any(axis=0))
    if not len(slots):
        return None
    return HealRange(
        session=coverage.session,
        first=int(slots[0]),
        last=int(slots[-1]),
        minutes=int(mask.sum()),
        symbols=int(mask.any(axis=1).sum()),
    )


class HealHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The runs a sensor has requested for one session so far: kept in its cursor."""

    count: int = 0
    """Runs requested; part of every run key, as Dagster never forgets a used one."""
    runs_without_progress: int = msgspec.field(default=0, name="fruitless")
    """Of these, how many in a row changed nothing."""
    missing: int = -1
    """Missing symbol-minutes at the last request."""
    at: datetime | None = None
    last: int = -1
    """Last slot requested; -1 where it is not known."""


def select_sessions(
    needs: Iterable[HealRange],
    history: Mapping[date, HealHistory],
    now: datetime,
    *,
    backoff: RetrySchedule,
    running: frozenset[date] = frozenset(),
    failed: frozenset[date] = frozenset(),
    sessions_max: int,
) -> list[tuple[HealRange, HealHistory]]:
    """Choose the sessions to heal now, newest first, with the history to keep of each.

    A session whose run is still going is left alone; one whose last run changed
    nothing waits longer each time and is given up after the last wait. One whose
    last run failed (`failed`) waits as long even if its need has grown since.
    """
    chosen: list[tuple[HealRange, HealHistory]] = []
    for need in sorted(needs, key=lambda need: need.session, reverse=True):
        before = history.get(need.session, HealHistory())
        if need.session in running:
            continue
        without_progress = _runs_without_progress(
            need, before, failed=need.session in failed, backoff=backoff
        )
        next_at = backoff.next_at(without_progress, before.at) if before.at else now
        if next_at is None or next_at > now:
            continue
        entry = HealHistory(
            count=before.count + 1,
            runs_without_progress=without_progress,
            missing=need.minutes,
            at=now,
            last=need.last,
        )
        chosen.append((need, entry))
        if len(chosen) == sessions_max:
            break
    return chosen


def _runs_without_progress(
    need: HealRange, before: HealHistory, *, failed: bool, backoff: RetrySchedule
) -> int:
    # As many minutes may be missing as before because others went missing: then the end moved.
    if need.minutes == before.missing and before.last in {-1, need.last}:
        return before.runs_without_progress + 1
    # A need that grows while its runs break is new, so it is spaced but never given up.
    return min(before.runs_without_progress + 1, len(backoff.waits)) if failed else 0


def latest_verification(
    closes_at: datetime, now: datetime, *, settle: timedelta, after: Iterable[timedelta]
) -> datetime | None:
    """Return the newest time by which a session should have been verified; None: not yet.

    The first verification is due once the session has settled, further ones
    `after` the close: vendors' holes reopen and late trades change bars.
    """
    passed = [closes_at + wait for wait in (settle, *after) if closes_at + wait <= now]
    return max(passed, default=None)


def unverified(coverage: SessionCoverage, since: datetime) -> np.ndarray:
    """Return bool[symbols]: not verified by a source of record since that time."""
    # A comparison with NaT is False: never verified counts as unverified.
    return ~(coverage.verified_at >= to_instant(since))
