"""`ingest/stream_log`: what the sidecar archived and when it was connected, seen from here.

The sidecar is no run of Dagster's. It is observed: its connection log in the lake, and
its health by HTTP where it can be reached.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from stock_platform.components import metadata
from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.healing.liveness import last_heard, silent_channels
from stock_platform.lake import stream_parts
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.sidecar_status import SidecarStatus, fetch_status
from stock_platform.settings import AutomationSettings, SidecarSettings, load

LOGS_READ = 5
"""Sessions whose connection logs are read: a channel unheard of for longer is not expected."""
OBSERVE_S = 300

stream_log = dg.AssetSpec(
    key=["ingest", "stream_log"],
    description="""One row is one connection's time on one channel (AM, FMV, T, Q).

Written by the streaming sidecar, not by a run: the evidence behind every silent minute.
Observed every few minutes while it changes.""",
    group_name="ingest",
    kinds={"websocket", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(CONNECTIONS, ("writer", "connection", "channel")),
)


class StreamingSidecar(dg.ConfigurableResource):
    """The streaming sidecar: where it is, its health, its offsets."""

    url: str = Field("", description="e.g. http://sidecar:9464; empty: STOCKS_SIDECAR_URL")

    def status(self) -> SidecarStatus:
        """Ask it how it is; never raises for a sidecar that is not there."""
        settings = load(SidecarSettings)
        return fetch_status(self.url or settings.sidecar_url, settings.journal_dir)


def signs_of_life(lake_context: LakeContext, now: datetime) -> dict[str, datetime]:
    """Return the last sign of life of every channel heard in the last sessions."""
    recent = lake_context.sessions(now)[-LOGS_READ:]
    return last_heard(
        stream_parts.read_connections(lake_context.store, session) for session in recent
    )


def grid_now(lake_context: LakeContext, now: datetime) -> MinuteGrid | None:
    """Return the grid of today's session, None on a closed day."""
    today = now.astimezone(NEW_YORK).date()
    return lake_context.calendar.grid(today) if lake_context.calendar.is_session(today) else None


def verdict(
    look: SidecarStatus, signs: dict[str, datetime], silent: dict[str, datetime]
) -> dg.AssetCheckResult:
    """Judge what was seen: every channel must live while the market is open.

    The connection log decides; a sidecar that cannot be reached from here may still
    write it, and one that says what is wrong with it is worth a warning.
    """
    told = [f"{channel} is silent since {since:%H:%M:%S} UTC" for channel, since in silent.items()]
    if not signs and not look.responded:
        told.append("no stream has been heard of")
    told += look.problems
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.ERROR if silent else dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or "every channel is alive, or the market is closed",
        metadata=_facts(look, signs),
    )


@dg.asset_check(asset=stream_log.key)
def the_stream_is_alive(lake: LakeResource, sidecar: StreamingSidecar) -> dg.AssetCheckResult:
    """Every channel gave a sign of life lately, as long as the market is open."""
    return _judged(lake.context(), sidecar.status(), datetime.now(UTC))


def _judged(lake_context: LakeContext, look: SidecarStatus, now: datetime) -> dg.AssetCheckResult:
    signs = signs_of_life(lake_context, now)
    patience = timedelta(seconds=load(AutomationSettings).stream_silent_after_s)
    silent = silent_channels(signs, grid_now(lake_context, now), now, patience)
    return verdict(look, signs, silent)


@dg.sensor(
    minimum_interval_seconds=max(OBSERVE_S, INTERVAL_S),
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def stream_observation(
    context: dg.SensorEvaluationContext, lake: LakeResource, sidecar: StreamingSidecar
) -> dg.SensorResult | dg.SkipReason:
    """What the stream has logged since the last tick, as an observation and a check, no run."""
    lake_context, now = lake.context(), datetime.now(UTC)
    sessions = lake_context.sessions(now)[-LOGS_READ:]
    logs = [stream_parts.read_connections(lake_context.store, session) for session in sessions]
    rows = pl.concat([pl.DataFrame(schema=CONNECTIONS), *logs])
    if not rows.height:
        return dg.SkipReason("no stream has logged a connection")
    judged = _judged(lake_context, sidecar.status(), now)
    newest = str(rows["alive_until"].max())
    cursor = f"{newest} {judged.passed}"
    if cursor == context.cursor:
        return dg.SkipReason("the stream has logged nothing since the last time")
    today = logs[-1]
    parts = stream_parts.live_parts(lake_context.store, sessions[-1])
    observed = dg.AssetObservation(
        stream_log.key,
        metadata={
            "session": sessions[-1].isoformat(),
            "connections": today["connection"].n_unique(),
            "reconnects": today["disconnected_at"].count(),
            "live parts": len(parts),
            "live bytes": sum(part.size for part in parts),
            "last sign of life": newest,
            **{name: value for name, value in judged.metadata.items() if name != "channels"},
        },
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=stream_log.key,
        check_name=the_stream_is_alive.check_key.name,
        passed=judged.passed,
        severity=judged.severity,
        description=judged.description,
        metadata=judged.metadata,
    )
    return dg.SensorResult(asset_events=[observed, evaluation], cursor=cursor)


def _facts(look: SidecarStatus, signs: dict[str, datetime]) -> dict[str, Any]:
    channels = [
        dg.TableRecord({"channel": channel, "last sign of life": f"{last:%Y-%m-%d %H:%M:%S} UTC"})
        for channel, last in signs.items()
    ]
    facts: dict[str, Any] = {"sidecar": look.where or "none is known on this machine"}
    if channels:
        facts["channels"] = dg.MetadataValue.table(channels)
    if look.offsets:
        facts["journal offsets"] = dg.MetadataValue.json(dict(look.offsets))
        facts["lag in bytes"] = dg.MetadataValue.json(dict(look.lag_bytes))
    return facts
