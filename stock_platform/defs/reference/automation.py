"""When reference data is fetched: before every open, and at once for a new lake."""

from datetime import UTC, datetime

import dagster as dg

from stock_platform.components.settings_at_load import provider_is_configured
from stock_platform.defs.resources import LakeResource
from stock_platform.lake import read
from stock_platform.providers.registry import NOT_CONFIGURED

reference_job = dg.define_asset_job(
    "reference_data", selection=dg.AssetSelection.groups("reference")
)


@dg.schedule(
    job=reference_job,
    cron_schedule="0 8 * * 1-5",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def reference_schedule() -> dg.RunRequest | dg.SkipReason:
    """Fetch reference data before the open of every weekday, 08:00 New York time."""
    return dg.RunRequest() if provider_is_configured() else dg.SkipReason(NOT_CONFIGURED)


@dg.sensor(
    job=reference_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def missing_reference_data(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """Fetch reference data of a new lake at once instead of the next morning."""
    if not provider_is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    if read.sessions_present(lake.store(), "reference_symbols"):
        return dg.SkipReason("reference data is present; reference_schedule keeps it fresh")
    # One try an hour: without a key this cannot succeed, and the failed run shows why.
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    return dg.RunRequest(run_key=f"reference_data:{hour}")
