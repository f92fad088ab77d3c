"""When quotes are polled and rebuilt."""

from datetime import UTC, datetime

import dagster as dg

from stock_platform.components.heal_requests import minute_run, plan_tick
from stock_platform.components.partitions import calendar, key_of
from stock_platform.components.settings_at_load import INTERVAL_S, SETTINGS
from stock_platform.defs.quotes.assets import raw_quotes
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import PlatformError
from stock_platform.pipelines.due_sessions import quotes_due

POLLING = SETTINGS.healing.polling


@dg.schedule(
    target=[raw_quotes],
    cron_schedule="* * * * *",
    execution_timezone="America/New_York",
    default_status=(
        dg.DefaultScheduleStatus.RUNNING if POLLING else dg.DefaultScheduleStatus.STOPPED
    ),
)
def quote_polling_schedule(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Poll quotes of the minute that has just begun, while the market is open."""
    minute = context.scheduled_execution_time.astimezone(UTC).replace(second=0, microsecond=0)
    session = minute.astimezone(NEW_YORK).date()
    if not calendar().is_session(session):
        return dg.SkipReason(f"{session} is no session")
    grid = calendar().grid(session)
    if not grid.opens_at <= minute < grid.closes_at:
        return dg.SkipReason("the market is closed")
    label = minute.astimezone(NEW_YORK).strftime("%H:%M")
    return dg.RunRequest(partition_key=key_of(session, label))


@dg.sensor(
    target=[raw_quotes],
    minimum_interval_seconds=INTERVAL_S * 2,
    default_status=(dg.DefaultSensorStatus.RUNNING if POLLING else dg.DefaultSensorStatus.STOPPED),
)
def raw_quote_gaps(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Rebuild quotes of minutes of the last sessions that were not polled, once bars are there."""
    lake_context, now = lake.context(), datetime.now(UTC)
    recent = lake_context.sessions(now)[-lake_context.healing.live_sessions :]
    try:
        needs = [
            need
            for session in recent
            if (need := quotes_due(lake_context, calendar().grid(session), now))
        ]
    except PlatformError as problem:
        return dg.SkipReason(str(problem))
    asking = plan_tick(context, needs, now, lake_context.healing)
    if not asking.chosen:
        return dg.SkipReason("every minute has its quotes, or waits for a retry")
    return dg.SensorResult(
        run_requests=[
            minute_run(context.sensor_name, need, entry, asset=raw_quotes)
            for need, entry in asking.chosen
        ],
        cursor=asking.cursor,
    )
