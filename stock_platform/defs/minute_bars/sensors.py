"""The sensors over a session's minutes: healing, settlement, and minutes the stream wrote.

Gaps are healed by one run per session, newest first. A session is settled after its
real close, not once "all minutes are present", then verified after an hour, a day and a
week: vendors' holes reopen and late trades change bars. Minutes from the stream are
recorded without a run: one event per minute is nothing (1.2 MB a day), one per
symbol-minute would be impossible, so symbols live in coverage and the event counts them.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from functools import cache

import dagster as dg

from stock_platform.components.heal_requests import (
    HEAL_SESSION,
    minute_run,
    needs_and_errors,
    plan_tick,
)
from stock_platform.components.partitions import calendar, key_of
from stock_platform.components.settings_at_load import INTERVAL_S, provider_is_configured
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.indicators.assets import indicators_daily, indicators_minute
from stock_platform.defs.minute_bars.assets import (
    HealConfig,
    bar_reconciliation,
    coverage,
    minute_bars,
    session_bars,
)
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.stock_data import stock_data
from stock_platform.lake import coverage as coverages
from stock_platform.lake import read, stream_parts
from stock_platform.lake.object_store import ObjectMeta
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.due_sessions import (
    drop_closed_days,
    minutes_due,
    sessions_with_gaps,
    settlement_due,
)
from stock_platform.providers.registry import NOT_CONFIGURED

EVENTS_MAX = 200
"""Per tick: SQLite takes 40 to 70 events a second, and other sensors want a turn."""

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
    for day in drop_closed_days(lake_context):
        context.log.info(f"{day} was closed: nothing is expected there")
    older = lake_context.sessions(now)[: -lake_context.healing.live_sessions]
    incomplete = sessions_with_gaps(lake_context, older)
    return _heal(context, lake_context, incomplete, now)


def _heal(
    context: dg.SensorEvaluationContext,
    lake_context: LakeContext,
    sessions: Iterable[date],
    now: datetime,
) -> dg.SensorResult | dg.SkipReason:
    if not provider_is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    universe = cache(lake_context.universe_now)
    needs, errors = needs_and_errors(
        lambda day: minutes_due(lake_context, day, now, universe()), sessions
    )
    for error in errors:
        context.log.error(error)
    asking = plan_tick(context, needs, now, lake_context.healing)
    if not asking.chosen:
        waiting = f"; {len(needs)} sessions wait for a retry or a run" if needs else ""
        return dg.SkipReason(errors[0] if errors else f"no minutes to heal now{waiting}")
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
    if not provider_is_configured():
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
    due, errors = needs_and_errors(
        lambda session: settlement_due(
            lake_context,
            session,
            now,
            verified_at=verified.get(session),
            settled=session in settled,
        ),
        sessions,
    )
    for error in errors:
        context.log.error(error)
    asking = plan_tick(context, due, now, lake_context.healing)
    if not asking.chosen:
        return dg.SkipReason(errors[0] if errors else "no session to settle or verify now")
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


@dg.sensor(
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def streamed_minutes(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Minutes the stream has written since the last tick, as materializations of minute_bars."""
    lake_context = lake.context()
    sessions = lake_context.sessions(datetime.now(UTC))[-lake_context.healing.live_sessions :]
    seen = context.cursor or ""
    fresh = [
        (session, entry)
        for session in sessions
        for entry in stream_parts.live_parts(lake_context.store, session)
        if entry.path > seen
    ][:EVENTS_MAX]
    if not fresh:
        return dg.SkipReason("the stream has written no new minute")
    # A heal may have told more of a minute already: never cover that up.
    known = context.instance.get_materialized_partitions(minute_bars.key)
    labels = set(calendar().minute_labels())
    events = [
        event
        for session, entry in fresh
        if (key := _key(session, entry, labels)) and key not in known
        for event in _event(lake_context, session, entry, key)
    ]
    return dg.SensorResult(asset_events=events, cursor=max(entry.path for _, entry in fresh))


def _key(session: date, entry: ObjectMeta, labels: set[str]) -> str | None:
    name = entry.path.rsplit("/", 1)[-1]
    label = f"{name[:2]}:{name[2:4]}"
    return key_of(session, label) if label in labels else None


def _event(
    lake_context: LakeContext, session: date, entry: ObjectMeta, key: str
) -> Iterator[dg.AssetMaterialization]:
    bars = stream_parts.part_rows(lake_context.store, entry)
    if bars is None:  # compacted meanwhile: the settlement records the minute
        return
    slot = lake_context.calendar.slot_of_label(key.split("|")[1])
    ended_at = lake_context.calendar.grid(session).minute(slot + 1)
    yield dg.AssetMaterialization(
        minute_bars.key,
        partition=key,
        metadata={
            "source": "stream",
            "bars": bars,
            "lag in seconds": round((entry.modified_at - ended_at).total_seconds(), 1),
            "written at": dg.MetadataValue.timestamp(entry.modified_at),
        },
    )
