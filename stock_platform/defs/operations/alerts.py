"""Who hears of trouble: failed runs at once, standing troubles every few minutes.

Without a channel everything here is quiet: the troubles are on the assets' pages.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.stream.assets import grid_now, signs_of_life
from stock_platform.errors import PlatformError
from stock_platform.pipelines.alert_rules import AlertRules
from stock_platform.serving.alerts import messages
from stock_platform.serving.alerts.dispatch import (
    Alert,
    AlertKind,
    DeliveryResult,
    resend_failed,
    send_alert,
)
from stock_platform.serving.alerts.registry import open_channels
from stock_platform.settings import (
    AlertSettings,
    AutomationSettings,
    MailSettings,
    ReportSettings,
    Settings,
    load,
)

NO_CHANNEL = (
    "nobody is told: set STOCKS_ALERT_MAIL_TO, STOCKS_ALERT_SNS_TOPIC or STOCKS_ALERT_WEBHOOK"
)
WILL_RETRY = "dagster/will_retry"
TICK_S = 40.0
"""Dagster ends a tick after a minute; what is left is told by the next one."""
ONCE = timedelta(days=7)
"""A gap that stays is no news every four hours."""
REASON_LENGTH_MAX = 1000
ASSETS_NAMED_MAX = 3


def _window(alert: Alert) -> timedelta:
    window = timedelta(minutes=load(AlertSettings).alert_window_minutes)
    lasting = alert.kind in {AlertKind.REFUSED_GAP, AlertKind.EXHAUSTED_GAP}
    return max(window, ONCE) if lasting else window


@dg.run_failure_sensor(
    minimum_interval_seconds=INTERVAL_S, default_status=dg.DefaultSensorStatus.RUNNING
)
def failed_runs(context: dg.RunFailureSensorContext, lake: LakeResource) -> None:
    """Runs that failed and that nobody will retry: an alert with a link to the run."""
    # Whatever is returned ends the tick before the next failed run: say it in the log.
    run = context.dagster_run
    if run.tags.get(WILL_RETRY) == "true":
        context.log.info(f"Dagster will retry run {run.run_id}")
        return
    channels = open_channels(Settings.from_env())
    if not channels:
        context.log.info(NO_CHANNEL)
        return
    alert = messages.failed_run(
        name_of(run),
        run.run_id,
        reason_of(context),
        dagster_url=load(AlertSettings).dagster_url,
    )
    told = send_alert(alert, channels, lake.store(), clock=_now, window=_window(alert))
    context.log.info(f"told: {told}")


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
    told = "\n".join(reasons) or context.failure_event.message or "no reason was recorded"
    return told[:REASON_LENGTH_MAX]


@dg.sensor(
    minimum_interval_seconds=INTERVAL_S * 10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def health_alerts(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """Hopeless gaps, a silent stream, a late report, stale data; then what failed to arrive."""
    try:
        channels = open_channels(Settings.from_env())
    except PlatformError as problem:
        context.log.error(str(problem))
        return dg.SkipReason(str(problem))
    if not channels:
        return dg.SkipReason(NO_CHANNEL)
    store, until = lake.store(), time.monotonic() + TICK_S
    sent = list[str]()
    for alert in _troubles(context, lake):
        if time.monotonic() > until:
            break
        told = send_alert(alert, channels, store, clock=_now, window=_window(alert))
        sent += [f"{alert.kind} {alert.key}"] if told.sent else []
    again = DeliveryResult()
    if time.monotonic() < until:
        window = timedelta(minutes=load(AlertSettings).alert_window_minutes)
        again = resend_failed(channels, store, clock=_now, window=window)
    told_now = [*sent, *again.sent]
    return dg.SkipReason("told: " + "; ".join(told_now) if told_now else "no trouble to tell")


def _troubles(context: dg.SensorEvaluationContext, lake: LakeResource) -> Iterator[Alert]:
    """Return what each look finds; one that cannot look does not keep the others from it."""
    lake_context, now = lake.context(), _now()
    url = load(AlertSettings).dagster_url
    watch = AlertRules(
        context=lake_context, now=now, following=load(AutomationSettings), dagster_url=url
    )
    mails = load(MailSettings).mail_transport != "none" and load(ReportSettings).report_to
    looks = [
        lambda: watch.stream(signs_of_life(lake_context, now), grid_now(lake_context, now)),
        watch.stale,
        *([watch.report] if mails else []),
        watch.gaps,
    ]
    for look in looks:
        try:
            yield from look()
        except PlatformError as problem:
            context.log.error(str(problem))


def _now() -> datetime:
    return datetime.now(UTC)
