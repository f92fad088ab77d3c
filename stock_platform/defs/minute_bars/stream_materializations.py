"""`streamed_minutes`: good minutes from the feed, recorded without a run.

One event per minute is nothing (1.2 MB a day); one per symbol-minute would be
impossible, so symbols live in coverage and the event only counts them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg

from stock_platform.components.partitions import calendar, key_of
from stock_platform.defs.minute_bars.assets import minute_bars
from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.resources import LakeResource
from stock_platform.lake import stream_parts
from stock_platform.lake.object_store import ObjectMeta
from stock_platform.pipelines.context import LakeContext

EVENTS_MAX = 200
"""Per tick: SQLite takes 40 to 70 events a second, and other sensors want a turn."""


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
