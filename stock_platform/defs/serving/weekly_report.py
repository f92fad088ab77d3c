"""`serving/weekly_report` and its schedule: one partition per week."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import RETRY_A_SERVICE, no_retry_unless_transient
from stock_platform.components.partitions import OF_THE_WEEK, calendar, week_of, weeks
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.indicators.assets import weekly_performance
from stock_platform.defs.minute_bars.assets import coverage
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.weekly import Week
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import Settings

if TYPE_CHECKING:
    from stock_platform.serving.report.build import WeeklyReport


@dg.asset(
    key=["serving", "weekly_report"],
    partitions_def=weeks,
    deps=[
        weekly_performance,
        dg.AssetDep(daily_bars, partition_mapping=OF_THE_WEEK),
        dg.AssetDep(coverage, partition_mapping=OF_THE_WEEK),
    ],
    group_name="serving",
    kinds={"email", "html"},
    owners=metadata.OWNERS,
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn("report", "html", "the page that is mailed, charts inside")]
        )
    },
    retry_policy=RETRY_A_SERVICE,
)
@no_retry_unless_transient
def weekly_report(
    context: dg.AssetExecutionContext, lake: LakeResource, secrets: SecretsResource
) -> dg.MaterializeResult:
    """One partition is one week's report: a page in the lake, mailed once the week is over.

    A week is named by its Monday. Materializing again renders it again and never mails a
    week twice; weeks long past and the running one are only rendered. Without a
    configured recipient the page in the lake and the copy shown here are the report.
    """
    from stock_platform.pipelines.weekly_report import as_markdown, keep_page
    from stock_platform.pipelines.weekly_report import weekly_report as gathered

    settings = secrets.settings()
    lake_context, week, now = lake.context(settings), week_of(context), datetime.now(UTC)
    report = gathered(lake_context, week, settings.report, now, log=context.log.info)
    mail = _mail(lake_context, report, settings, now)
    context.log.info(f"mail: {mail}")
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(as_markdown(report)),
            "page": dg.MetadataValue.path(keep_page(lake_context.store, report)),
            "symbols": report.performance.height,
            "charts": len(report.charts),
            "mail": mail,
        }
    )


def _mail(
    lake_context: LakeContext, report: "WeeklyReport", settings: Settings, now: datetime
) -> str:
    """Mail the report unless it was mailed before or is not to be; return which."""
    from stock_platform.pipelines.weekly_report import why_not_mailed
    from stock_platform.serving.report.delivery import deliver_report
    from stock_platform.serving.report.mailer import open_mailer

    mail, addressed = settings.mail, settings.report
    reason = why_not_mailed(
        lake_context.calendar,
        report.week,
        now,
        recipients=len(addressed.report_to),
        transport=mail.mail_transport,
    )
    if reason:
        return reason
    delivery = deliver_report(
        report,
        open_mailer(mail),
        lake_context.store,
        sender=mail.mail_from,
        to=addressed.report_to,
        clock=lambda: datetime.now(UTC),
        attempts_max=addressed.report_attempts_max,
        retry_s=addressed.report_retry_s,
    )
    when = "sent now" if delivery.sent_now else f"was sent {delivery.record.changed_at:%Y-%m-%d}"
    refused = delivery.record.refused
    return f"{when}; refused: {len(refused)} of the addresses" if refused else when


@dg.schedule(
    target=[weekly_performance, weekly_report],
    cron_schedule="0 16 * * 6",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def weekly_report_schedule(
    context: dg.ScheduleEvaluationContext, lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """Compute the week's performance and report, Saturdays 16:00 UTC."""
    if not read.years_present(lake.store(), "daily_bars"):
        return dg.SkipReason("there is nothing to report: the lake has no daily bars yet")
    day = context.scheduled_execution_time.astimezone(UTC).date()
    week = Week.of(calendar(), day)
    if not week.sessions:
        return dg.SkipReason(f"the exchange held no session in the week of {week.monday}")
    return dg.RunRequest(partition_key=(day - timedelta(days=day.weekday())).isoformat())
