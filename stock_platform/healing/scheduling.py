"""Decide which missing minutes are worth a run now, from ledgers alone.

The sensor reads coverage and never the grid of all symbols and minutes. What
is too young, backing off or exhausted is left out, so a gap that can not be
filled neither starves the others nor is retried for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from stock_platform.domain.coverage import Ledger, to_instant
from stock_platform.healing.retry import Backoff


@dataclass(frozen=True, slots=True)
class Need:
    """One session's minutes worth asking for: slots `first` to `last`, both included."""

    session: date
    first: int
    last: int
    minutes: int
    """Missing symbol-minutes in it."""
    symbols: int


SETTLE = timedelta(minutes=20)
"""After this a provider's record of a minute counts as settled, where no setting says more."""


def ready(ledger: Ledger, now: datetime, backoff: Backoff) -> np.ndarray:
    """Give bool[symbols]: neither waiting for its next retry nor exhausted."""
    waits = ledger.next_retry_at > to_instant(now)
    return ~waits & (ledger.attempts <= len(backoff.waits))


def worth_asking(
    ledger: Ledger, now: datetime, *, backoff: Backoff, settle: timedelta = SETTLE
) -> np.ndarray:
    """Give bool[symbols, width]: minutes a provider may tell something new about.

    A minute that was answered for while it was young is asked for again once it has
    settled, not before; that never holds up another minute of the same symbol.
    """
    young = np.arange(ledger.grid.width) >= ledger.grid.due(now, settle.total_seconds())
    return ready(ledger, now, backoff)[:, None] & ~(ledger.bits["asked"] & young)


def find_need(
    ledger: Ledger,
    now: datetime,
    *,
    grace_s: float,
    backoff: Backoff,
    settle: timedelta = SETTLE,
) -> Need | None:
    """Give the span of minutes of one session that should be healed now, if any."""
    mask = ledger.missing(ledger.grid.due(now, grace_s))
    mask &= worth_asking(ledger, now, backoff=backoff, settle=settle)
    slots = np.flatnonzero(mask.any(axis=0))
    if not len(slots):
        return None
    return Need(
        ledger.session,
        int(slots[0]),
        int(slots[-1]),
        int(mask.sum()),
        int(mask.any(axis=1).sum()),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sensor asked of one session so far: kept in its cursor."""

    count: int = 0
    """Runs asked for; part of every run key, as Dagster never forgets a used one."""
    fruitless: int = 0
    """Of these, how many in a row changed nothing."""
    missing: int = -1
    """Missing symbol-minutes when it was last asked."""
    at: datetime | None = None
    last: int = -1
    """Last slot asked for; -1 where it is not known."""


def decide(
    needs: Iterable[Need],
    asked: dict[date, Asked],
    now: datetime,
    *,
    backoff: Backoff,
    running: frozenset[date] = frozenset(),
    failed: frozenset[date] = frozenset(),
    sessions_max: int,
) -> list[tuple[Need, Asked]]:
    """Choose the sessions to ask for now, newest first, and what to remember of each.

    A session whose run is still going is left alone; one whose last run changed
    nothing waits longer each time and is given up after the last wait. One whose
    last run failed (`failed`) waits as long even if its need has grown since.
    """
    chosen: list[tuple[Need, Asked]] = []
    for need in sorted(needs, key=lambda need: need.session, reverse=True):
        before = asked.get(need.session, Asked())
        if need.session in running:
            continue
        fruitless = _fruitless(need, before, failed=need.session in failed, backoff=backoff)
        due = backoff.next_at(fruitless, before.at) if before.at else now
        if due is None or due > now:
            continue
        chosen.append(
            (
                need,
                replace(
                    before,
                    count=before.count + 1,
                    fruitless=fruitless,
                    missing=need.minutes,
                    at=now,
                    last=need.last,
                ),
            )
        )
        if len(chosen) == sessions_max:
            break
    return chosen


def _fruitless(need: Need, before: Asked, *, failed: bool, backoff: Backoff) -> int:
    # As many minutes may be missing as before because others went missing: then the end moved.
    if need.minutes == before.missing and before.last in {-1, need.last}:
        return before.fruitless + 1
    # A need that grows while its runs break is new, so it is spaced but never given up.
    return min(before.fruitless + 1, len(backoff.waits)) if failed else 0


def latest_verification(
    closes_at: datetime, now: datetime, *, settle: timedelta, after: Iterable[timedelta]
) -> datetime | None:
    """Give the newest time by which a session should have been verified; None: not yet.

    The first verification is due once the session has settled, further ones
    `after` the close: vendors' holes reopen and late trades change bars.
    """
    passed = [closes_at + wait for wait in (settle, *after) if closes_at + wait <= now]
    return max(passed, default=None)


def unverified(ledger: Ledger, since: datetime) -> np.ndarray:
    """Give bool[symbols]: not verified by a source of record since that time."""
    # A comparison with NaT is False: never verified counts as unverified.
    return ~(ledger.verified_at >= to_instant(since))
