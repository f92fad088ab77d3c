"""Which sessions need work now: gaps to heal, settlements, verifications, quotes to rebuild.

Everything is decided from coverage and from which objects are in the lake, never from
the grid of all symbols and minutes: five sessions of 8,000 symbols take well under a second.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.aggregate import slots_without
from stock_platform.healing.scheduling import (
    HealRange,
    heal_range_of,
    latest_verification,
    unverified,
)
from stock_platform.lake import coverage, read, tables
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.universe.expected import UniverseBySession

UPDATE_SESSIONS_BACK = 10
"""How far back a daily update looks for sessions it missed while the platform was down."""


def sessions_with_gaps(
    lake_context: LakeContext,
    sessions: list[date],
    universe: UniverseBySession | None = None,
) -> list[date]:
    """Return the closed sessions that are not proven complete, from one scan of counts.

    Complete is a session without a missing minute whose counts reach its close and were
    made for the symbols, hours and calendar that are expected now, by `universe` where it
    was read already.
    """
    stored = coverage.summaries(lake_context.store, sessions)
    universe = universe or lake_context.universe_now()
    complete = {
        row["session"]
        for row in stored.iter_rows(named=True)
        if row["missing"] == 0
        and row["due"] >= lake_context.calendar.grid(row["session"]).end
        and _as_expected_now(lake_context, universe, row)
    }
    return [session for session in sessions if session not in complete]


def _as_expected_now(
    lake_context: LakeContext, universe: UniverseBySession, row: dict[str, Any]
) -> bool:
    """Whether a summary was made for what is expected now: the same set, not the same number."""
    if row["universe"] is not None:
        return row["universe"] == universe.digest(lake_context.calendar.grid(row["session"]))
    # An object of an earlier release has no digest.
    symbols = len(universe.on(row["session"]))
    return (row["width"], row["symbols"]) == (lake_context.calendar.width, symbols)


def drop_closed_days(lake_context: LakeContext) -> list[date]:
    """Delete the coverage of days that turned out to be closed; return them.

    Nothing is expected there any more, and coverage can be derived again. Bars stay.
    """
    store, kept = lake_context.store, read.sessions_present(lake_context.store, "coverage")
    closed = sorted(day for day in kept if not lake_context.calendar.is_session(day))
    # A folder may stay when its only object is gone.
    held = [day for day in closed if store.list(tables.folder("coverage", day))]
    store.delete([tables.data("coverage", day) for day in held])
    return held


def minutes_due(
    lake_context: LakeContext,
    session: date,
    now: datetime,
    universe: UniverseBySession | None = None,
) -> HealRange | None:
    """Return the span of a session's missing minutes that are worth a run now, if any.

    A closed session whose counts are complete is not looked at further. `universe` saves
    reading it for each of several sessions.
    """
    grid = lake_context.calendar.grid(session)
    if grid.closed_slots(now, lake_context.grace_s) <= grid.first:
        return None
    closed = grid.closed_slots(now, 0) >= grid.end
    if closed and not sessions_with_gaps(lake_context, [session], universe):
        return None
    coverage_now = lake_context.coverage(grid)
    found = heal_range_of(
        coverage_now,
        now,
        grace_s=lake_context.grace_s,
        backoff=lake_context.policy.retry,
        settle=lake_context.policy.settle,
    )
    if found is None and closed and not coverage_now.missing().any():
        lake_context.keep_for_universe(coverage_now)
    return found


def quotes_due(lake_context: LakeContext, grid: MinuteGrid, now: datetime) -> HealRange | None:
    """Return the span of minutes for which bars could give more quotes than there are."""
    due = grid.closed_slots(now, lake_context.grace_s)
    bars = read.minute_bars(lake_context.store, grid.session, ["symbol", "minute"])
    if due <= grid.first or not bars.height:
        return None
    quotes = read.raw_quotes(lake_context.store, grid.session)
    minutes = [grid.minute(slot) for slot in range(grid.first, due)]
    absent = [grid.first + index for index in slots_without(quotes, bars, minutes)]
    if not absent:
        return None
    return HealRange(
        session=grid.session,
        first=absent[0],
        last=absent[-1],
        minutes=len(absent),
        symbols=bars["symbol"].n_unique(),
    )


def settlement_due(
    lake_context: LakeContext,
    session: date,
    now: datetime,
    *,
    verified_at: datetime | None,
    settled: bool,
) -> HealRange | None:
    """Return what is to be done of a closed session: its settlement or its next verification.

    The range counts unverified symbols and ends at the verification's number, so that
    the next verification is another need and a batch of a few symbols is progress.
    """
    healing, grid = lake_context.healing, lake_context.calendar.grid(session)
    waits = [timedelta(hours=hours) for hours in healing.verify_after_hours]
    settle = lake_context.policy.settle
    since = latest_verification(grid.closes_at, now, settle=settle, after=waits)
    if since is None or (settled and verified_at is not None and verified_at >= since):
        return None
    symbols = int(unverified(lake_context.coverage(grid), since).sum())
    if settled and not symbols:
        return None
    stage = sum(grid.closes_at + wait <= now for wait in (settle, *waits))
    return HealRange(
        session=session, first=grid.first, last=stage, minutes=symbols, symbols=symbols
    )


def sessions_to_update(
    sessions: Sequence[date], computed: Collection[date]
) -> tuple[date, date] | None:
    """Return the first and last of the newest `sessions` (rising, closed) to bring up to date.

    The newest is always among them: late corrections change it. Earlier ones are
    when any of them was missed.
    """
    recent = sessions[-UPDATE_SESSIONS_BACK:]
    if not recent:
        return None
    missed = [session for session in recent if session not in computed]
    return min([*missed, recent[-1]]), recent[-1]
