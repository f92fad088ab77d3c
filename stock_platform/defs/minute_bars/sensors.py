"""The sensors that notice missing minutes and sessions and launch their healing.

They read coverage, never the grid of all symbols and minutes: a tick over the
last five sessions of 8,000 symbols takes well under a second.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import dagster as dg

from stock_platform.components.heal_requests import minute_run, needs_and_errors, plan_tick
from stock_platform.defs.minute_bars.assets import HealConfig, minute_bars
from stock_platform.defs.resources import LakeResource
from stock_platform.healing.scheduling import HealRange, heal_range_of
from stock_platform.lake import coverage
from stock_platform.pipelines.context import LakeContext
from stock_platform.providers.registry import NOT_CONFIGURED, is_configured
from stock_platform.settings import HealingSettings, load

INTERVAL_S = load(HealingSettings).sensor_interval_s


@dg.sensor(
    target=[minute_bars],
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def minute_bar_gaps(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Missing minutes of the last sessions: one heal run per session, newest first."""
    lake_context, now = lake.context(), datetime.now(UTC)
    recent = lake_context.sessions(now)[-lake_context.healing.live_sessions :]
    return _heal(context, lake_context, recent, now)


@dg.sensor(
    target=[minute_bars],
    minimum_interval_seconds=INTERVAL_S * 2,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def session_gaps(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Older sessions that were never ingested or still miss minutes: one run per session."""
    lake_context, now = lake.context(), datetime.now(UTC)
    older = lake_context.sessions(now)[: -lake_context.healing.live_sessions]
    doubtful = sessions_with_gaps(lake_context, older)
    return _heal(context, lake_context, doubtful, now)


def sessions_with_gaps(lake_context: LakeContext, sessions: list[date]) -> list[date]:
    """Return the closed sessions that are not known to be whole, from one scan of counts.

    Whole is a session without a missing minute whose counts reach its close and
    cover every symbol expected today.
    """
    known = coverage.summaries(lake_context.store, sessions)
    whole = {
        row["session"]
        for row in known.iter_rows(named=True)
        if row["missing"] == 0
        and row["width"] == lake_context.calendar.width
        and row["due"] >= lake_context.calendar.grid(row["session"]).end
        and row["symbols"] == lake_context.expected_count(row["session"])
    }
    return [session for session in sessions if session not in whole]


def _heal(
    context: dg.SensorEvaluationContext,
    lake_context: LakeContext,
    sessions: Iterable[date],
    now: datetime,
) -> dg.SensorResult | dg.SkipReason:
    if not is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    needs, troubles = needs_and_errors(lambda day: _need(lake_context, day, now), sessions)
    for trouble in troubles:
        context.log.error(trouble)
    asking = plan_tick(context, needs, now, lake_context.healing)
    if not asking.chosen:
        waiting = f"; {len(needs)} sessions wait for a retry or a run" if needs else ""
        return dg.SkipReason(troubles[0] if troubles else f"no minutes to heal now{waiting}")
    for need, _ in asking.chosen:
        context.log.info(
            f"{need.session}: {need.minutes:,} symbol-minutes of {need.symbols:,} symbols missing"
        )
    return dg.SensorResult(
        run_requests=[
            minute_run(
                context.sensor_name,
                need,
                entry,
                asset=minute_bars,
                config=HealConfig(only_ready=True),
            )
            for need, entry in asking.chosen
        ],
        cursor=asking.cursor,
    )


def _need(lake_context: LakeContext, session: date, now: datetime) -> HealRange | None:
    grid = lake_context.calendar.grid(session)
    if grid.closed_slots(now, lake_context.grace_s) <= grid.first:
        return None
    return heal_range_of(
        lake_context.coverage(grid),
        now,
        grace_s=lake_context.grace_s,
        backoff=lake_context.policy.retry,
        settle=lake_context.policy.settle,
    )
