"""The stream is observed every few minutes while its log changes, without a run."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import INTERVAL_S
from stock_platform.defs.resources import LakeResource, StreamingSidecar
from stock_platform.defs.stream.assets import stream_log
from stock_platform.defs.stream.checks import check_stream, the_stream_is_alive
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.lake import stream_parts
from stock_platform.pipelines.sidecar_status import LOGS_READ

OBSERVE_S = 300


@dg.sensor(
    minimum_interval_seconds=max(OBSERVE_S, INTERVAL_S),
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def stream_observation(
    context: dg.SensorEvaluationContext, lake: LakeResource, sidecar: StreamingSidecar
) -> dg.SensorResult | dg.SkipReason:
    """Record what the stream has logged since the last tick as an observation and a check."""
    settings, now = SecretsResource().settings(), datetime.now(UTC)
    lake_context = lake.context(settings)
    sessions = lake_context.sessions(now)[-LOGS_READ:]
    logs = [stream_parts.read_connections(lake_context.store, session) for session in sessions]
    rows = pl.concat([pl.DataFrame(schema=CONNECTIONS), *logs])
    if not rows.height:
        return dg.SkipReason("no stream has logged a connection")
    result = check_stream(lake_context, sidecar.status(), settings, now)
    newest = str(rows["alive_until"].max())
    cursor = f"{newest} {result.passed}"
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
            **{name: value for name, value in result.metadata.items() if name != "channels"},
        },
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=stream_log.key,
        check_name=the_stream_is_alive.check_key.name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )
    return dg.SensorResult(asset_events=[observed, evaluation], cursor=cursor)
