"""`daily_update` and `initialize`: daily bars of the whole watchlist, and what follows from them.

Both run over a range of sessions in one run, request only what is absent, and keep to
the provider's budget (the free plan's five calls a minute: one call is one session of
the whole market).
"""

from datetime import UTC

import dagster as dg

from stock_platform.components.settings_at_load import provider_is_configured
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.indicators.assets import indicators_daily
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.stock_data import stock_data
from stock_platform.lake import read
from stock_platform.pipelines.due_sessions import sessions_to_update
from stock_platform.pipelines.indicators.stores import STATES
from stock_platform.providers.registry import NOT_CONFIGURED

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

_FROM_DAILY_BARS = dg.AssetSelection.assets(daily_bars, indicators_daily, stock_data)

daily_update = dg.define_asset_job(
    "daily_update",
    selection=dg.AssetSelection.groups("reference") | _FROM_DAILY_BARS,
    description="Reference data, daily bars, their indicators and stock_data of the sessions "
    "that closed.",
)
initialize = dg.define_asset_job(
    "initialize",
    selection=dg.AssetSelection.groups("reference") | _FROM_DAILY_BARS,
    description="The daily history of every session the lake should hold, about 70 of them: "
    "launch it over all partitions, which is one run. `stocks init` also loads the minutes.",
)


@dg.schedule(
    job=daily_update,
    cron_schedule="0 13 * * 2-6",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_update_schedule(
    context: dg.ScheduleEvaluationContext, lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """Tuesday to Saturday 13:00 UTC: the session that closed, and those missed before it."""
    if not provider_is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    lake_context = lake.context()
    now = context.scheduled_execution_time.astimezone(UTC)
    latest = lake_context.calendar.latest_closed(now)
    sessions = [session for session in lake_context.sessions(now) if session <= latest]
    span = sessions_to_update(sessions, read.sessions_present(lake_context.store, STATES["daily"]))
    if span is None:
        return dg.SkipReason("no session has closed yet")
    return dg.RunRequest(
        run_key=f"daily_update:{now:%Y-%m-%d}",
        tags={RANGE_START: span[0].isoformat(), RANGE_END: span[1].isoformat()},
    )
