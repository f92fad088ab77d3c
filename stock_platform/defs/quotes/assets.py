"""`ingest/raw_quotes`: one polled quote per symbol and minute, and its healing."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from stock_platform.components import metadata as page
from stock_platform.components.heal_requests import minute_run, plan_tick
from stock_platform.components.partitions import (
    calendar,
    key_of,
    session_and_slots,
    session_minutes,
)
from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.quotes import QUOTE_KEY, RAW_QUOTES
from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.healing.aggregate import slots_without
from stock_platform.healing.scheduling import HealRange
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.quotes import poll_quotes
from stock_platform.settings import HealingSettings, load

POLLING = load(HealingSettings).polling


@dg.asset(
    key=["ingest", "raw_quotes"],
    partitions_def=session_minutes,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="ingest",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(RAW_QUOTES, QUOTE_KEY),
    deps=[dg.AssetKey(["reference", "symbols"])],
    pool="provider_rest",
)
def raw_quotes(
    context: dg.AssetExecutionContext, lake: LakeResource, providers: ProvidersResource
) -> None:
    """One row is one quote of a symbol, stamped with the minute it was asked for.

    The running minute is polled from the first configured provider that answers. A
    past minute cannot be polled any more: its quotes are rebuilt from the session's
    bars (provider `minute_bars`). Of one key the first observation stays.
    """
    grid, first, last = session_and_slots(context.partition_keys)
    try:
        taken = poll_quotes(
            lake.context(),
            providers.open,
            grid,
            range(first, last + 1),
            now=datetime.now(UTC),
            log=context.log.warning,
        )
    except PermanentError as problem:
        raise dg.Failure(str(problem), allow_retries=False) from problem
    metadata: dict[str, Any] = {
        "rows rejected": taken.rejected,
        "minutes rebuilt from bars": taken.rebuilt,
    }
    context.add_asset_metadata(
        metadata | (page.of_publication(taken.published) if taken.published else {})
    )
    for response in taken.polled:
        if response.refused or response.failed:
            context.log.warning(
                f"{response.provider}: {len(response.refused)} symbols refused, "
                f"{len(response.failed)} failed: {response.detail}"
            )


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
    """Minutes of the last sessions that were not polled: rebuilt once their bars are there."""
    lake_context, now = lake.context(), datetime.now(UTC)
    recent = lake_context.sessions(now)[-lake_context.healing.live_sessions :]
    try:
        needs = [
            need
            for session in recent
            if (need := _quotes_needed(lake_context, calendar().grid(session), now))
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


def _quotes_needed(lake_context: LakeContext, grid: MinuteGrid, now: datetime) -> HealRange | None:
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
