"""Alerts: failed runs at once, what stays wrong every few minutes.

Without a channel nothing is sent: what is wrong is shown on the assets' pages.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import INTERVAL_S
from stock_platform.defs.resources import LakeResource
from stock_platform.errors import PlatformError
from stock_platform.pipelines.alert_rules import AlertRules
from stock_platform.pipelines.sidecar_status import grid_now, signs_of_life
from stock_platform.serving.alerts import messages
from stock_platform.serving.alerts.dispatch import (
    Alert,
    AlertKind,
    DeliveryResult,
    resend_failed,
    send_alert,
)
from stock_platform.serving.alerts.registry import open_channels
from stock_platform.settings import Settings

NO_CHANNEL = (
    "no channel of alerts is configured: set STOCKS_ALERT_MAIL_TO, STOCKS_ALERT_SNS_TOPIC or "
    "STOCKS_ALERT_WEBHOOK"
)
WILL_RETRY = "dagster/will_retry"
TICK_S = 40.0
"""Dagster ends a tick after a minute; what is left is sent by the next one."""
ONCE = timedelta(days=7)
"""A gap that stays is sent once a week, not every four hours."""
REASON_LENGTH_MAX = 1000
ASSETS_NAMED_MAX = 3


def _window(alert: Alert, settings: Settings) -> timedelta:
    window = timedelta(minutes=settings.alerts.alert_window_minutes)
    lasting = alert.kind in {AlertKind.REFUSED_GAP, AlertKind.EXHAUSTED_GAP}
    return max(window, ONCE) if lasting else window


@dg.run_failure_sensor(
    minimum_interval_seconds=INTERVAL_S, default_status=dg.DefaultSensorStatus.RUNNING
)
def failed_runs(context: dg.RunFailureSensorContext, lake: LakeResource) -> None:
    """Send an alert with a link to each run that failed and will not be retried."""
    # Whatever is returned ends the tick before the next failed run: it goes to the log.
    run = context.dagster_run
    if run.tags.get(WILL_RETRY) == "true":
        context.log.info(f"Dagster will retry run {run.run_id}")
        return
    settings = SecretsResource().settings()
    channels = open_channels(settings)
    if not channels:
        context.log.info(NO_CHANNEL)
        return
    alert = messages.failed_run(
        name_of(run),
        run.run_id,
        reason_of(context),
        dagster_url=settings.alerts.dagster_url,
    )
    store, window = lake.store(settings), _window(alert, settings)
    context.log.info(f"sent: {send_alert(alert, channels, store, clock=_now, window=window)}")


def name_of(run: dg.DagsterRun) -> str:
    """Name what ran: the job, or the assets of a run that no job of ours defines."""
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    names = sorted(key.to_user_string() for key in run.asset_selection)
    more = len(names) - ASSETS_NAMED_MAX
    shown = ", ".join(names[:ASSETS_NAMED_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def reason_of(context: dg.RunFailureSensorContext) -> str:
    """Return which steps failed and why, without stack traces."""
    reasons = [
        f"{event.step_key}: {error.cause.message if error.cause else error.message}".strip()
        for event in context.get_step_failure_events()
        if (error := event.step_failure_data.error) is not None
    ]
    reason = "\n".join(reasons) or context.failure_event.message or "no reason was recorded"
    return reason[:REASON_LENGTH_MAX]


@dg.sensor(
    minimum_interval_seconds=INTERVAL_S * 10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def health_alerts(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """Send alerts of unfillable gaps, a silent stream, a late report and stale data.

    Then send again what failed to arrive.
    """
    settings = SecretsResource().settings()
    try:
        channels = open_channels(settings)
    except PlatformError as problem:
        context.log.error(str(problem))
        return dg.SkipReason(str(problem))
    if not channels:
        return dg.SkipReason(NO_CHANNEL)
    store, until = lake.store(settings), time.monotonic() + TICK_S
    sent = list[str]()
    for alert in _alerts_due(context, lake, settings):
        if time.monotonic() > until:
            break
        result = send_alert(alert, channels, store, clock=_now, window=_window(alert, settings))
        sent += [f"{alert.kind} {alert.key}"] if result.sent else []
    again = DeliveryResult()
    if time.monotonic() < until:
        window = timedelta(minutes=settings.alerts.alert_window_minutes)
        again = resend_failed(channels, store, clock=_now, window=window)
    sent += again.sent
    return dg.SkipReason("sent: " + "; ".join(sent) if sent else "there is nothing to alert about")


def _alerts_due(
    context: dg.SensorEvaluationContext, lake: LakeResource, settings: Settings
) -> Iterator[Alert]:
    """Return what each rule finds; one that fails does not keep the others from it."""
    lake_context, now = lake.context(settings), _now()
    rules = AlertRules(
        context=lake_context,
        now=now,
        following=settings.automation,
        dagster_url=settings.alerts.dagster_url,
    )
    mails = settings.mail.mail_transport != "none" and settings.report.report_to
    looks = [
        lambda: rules.stream(signs_of_life(lake_context, now), grid_now(lake_context, now)),
        rules.stale,
        *([rules.report] if mails else []),
        rules.gaps,
    ]
    for look in looks:
        try:
            yield from look()
        except PlatformError as problem:
            context.log.error(str(problem))


def _now() -> datetime:
    return datetime.now(UTC)
