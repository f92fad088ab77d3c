"""What should be true of the live stream."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.resources import LakeResource, StreamingSidecar
from stock_platform.defs.stream.assets import stream_log
from stock_platform.healing.liveness import silent_channels
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.sidecar_status import SidecarStatus, grid_now, signs_of_life
from stock_platform.settings import Settings


@dg.asset_check(asset=stream_log.key)
@no_retry_unless_transient
def the_stream_is_alive(lake: LakeResource, sidecar: StreamingSidecar) -> dg.AssetCheckResult:
    """Every channel gave a sign of life lately, as long as the market is open."""
    settings = SecretsResource().settings()
    return check_stream(lake.context(settings), sidecar.status(), settings, datetime.now(UTC))


def check_stream(
    lake_context: LakeContext, sidecar: SidecarStatus, settings: Settings, now: datetime
) -> dg.AssetCheckResult:
    """Return the result of the check from the connection logs and the sidecar's status."""
    signs = signs_of_life(lake_context, now)
    limit = timedelta(seconds=settings.automation.stream_silent_after_s)
    silent = silent_channels(signs, grid_now(lake_context, now), now, limit)
    return stream_check_result(sidecar, signs, silent)


def stream_check_result(
    sidecar: SidecarStatus, signs: dict[str, datetime], silent: dict[str, datetime]
) -> dg.AssetCheckResult:
    """Pass when every channel is alive while the market is open.

    A silent channel in the connection log is an error. A sidecar that reports a problem,
    or that cannot be reached from here, is a warning: it may still write its log.
    """
    wrong = [f"{channel} is silent since {since:%H:%M:%S} UTC" for channel, since in silent.items()]
    if not signs and not sidecar.responded:
        wrong.append("no stream has been heard of")
    wrong += sidecar.problems
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if silent else dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong) or "every channel is alive, or the market is closed",
        metadata=_facts(sidecar, signs),
    )


def _facts(sidecar: SidecarStatus, signs: dict[str, datetime]) -> dict[str, Any]:
    channels = [
        dg.TableRecord({"channel": channel, "last sign of life": f"{last:%Y-%m-%d %H:%M:%S} UTC"})
        for channel, last in signs.items()
    ]
    facts: dict[str, Any] = {"sidecar": sidecar.where or "none is known on this machine"}
    if channels:
        facts["channels"] = dg.MetadataValue.table(channels)
    if sidecar.offsets:
        facts["journal offsets"] = dg.MetadataValue.json(dict(sidecar.offsets))
        facts["lag in bytes"] = dg.MetadataValue.json(dict(sidecar.lag_bytes))
    return facts
