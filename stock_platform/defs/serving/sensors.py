"""Copies of quotes follow their publication."""

import dagster as dg

from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import INTERVAL_S
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.latest_quotes import latest_quotes
from stock_platform.defs.serving.quote_stream import quote_stream
from stock_platform.pipelines.quotes import (
    NO_AWS,
    version_of_quotes,
    wants_latest_quotes,
    wants_quote_stream,
)


@dg.sensor(
    target=[latest_quotes, quote_stream],
    minimum_interval_seconds=INTERVAL_S * 2,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def quote_targets(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Bring DynamoDB and Kinesis up to date after quotes were published, where configured."""
    settings = SecretsResource().settings()
    wanted = [
        asset.key
        for asset, is_wanted in (
            (latest_quotes, wants_latest_quotes(settings)),
            (quote_stream, wants_quote_stream(settings)),
        )
        if is_wanted
    ]
    if not wanted:
        return dg.SkipReason(f"neither DynamoDB nor Kinesis is configured: {NO_AWS}")
    version = version_of_quotes(lake.store(settings))
    if version == (context.cursor or ""):
        return dg.SkipReason("no quote was published since the last time")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"quotes:{version}", asset_selection=wanted)],
        cursor=version,
    )
