"""`after_the_close`: compact, settle, cover and reconcile a session, and verify it again later.

Driven by the session's real close, not by "all minutes present": a session is
settled once, then verified after an hour, a day and a week, because vendors'
holes reopen and late trades change bars.
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_platform.components.heal_requests import HEAL_SESSION, needs_and_errors, plan_tick
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.indicators.assets import indicators_daily, indicators_minute
from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.minute_bars.session_assets import (
    bar_reconciliation,
    coverage,
    session_bars,
)
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.assets import stock_data
from stock_platform.healing.scheduling import HealRange, latest_verification, unverified
from stock_platform.lake import coverage as coverages
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.providers.registry import NOT_CONFIGURED, is_configured

SESSION_ASSETS = [
    session_bars,
    coverage,
    bar_reconciliation,
    daily_bars,
    indicators_minute,
    indicators_daily,
    stock_data,
]


@dg.sensor(
    target=SESSION_ASSETS,
    # A session settles once a day: the gap sensors have the first word.
    minimum_interval_seconds=INTERVAL_S * 5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def session_settlement(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Closed sessions whose settlement or next verification is due: one run per session."""
    if not is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    lake_context, now = lake.context(), datetime.now(UTC)
    sessions = lake_context.sessions(now)
    verified = dict(
        coverages.summaries(lake_context.store, sessions)
        .select("session", "verified_at")
        .iter_rows()
    )
    # The last thing a settlement writes: without it the session was never settled.
    settled = read.sessions_present(lake_context.store, "bar_reconciliation")
    due, troubles = needs_and_errors(
        lambda session: session_due(
            lake_context,
            session,
            now,
            verified_at=verified.get(session),
            settled=session in settled,
        ),
        sessions,
    )
    for trouble in troubles:
        context.log.error(trouble)
    asking = plan_tick(context, due, now, lake_context.healing)
    if not asking.chosen:
        return dg.SkipReason(troubles[0] if troubles else "no session to settle or verify now")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{context.sensor_name}:{need.session}:{entry.count}",
                partition_key=need.session.isoformat(),
                tags={HEAL_SESSION: need.session.isoformat()},
            )
            for need, entry in asking.chosen
        ],
        cursor=asking.cursor,
    )


def session_due(
    lake_context: LakeContext,
    session: date,
    now: datetime,
    *,
    verified_at: datetime | None,
    settled: bool,
) -> HealRange | None:
    """Return what is to be done of a closed session: its settlement or its next verification.

    The need counts unverified symbols and ends at the verification's number, so that
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
