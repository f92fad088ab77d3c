"""`indicators/weekly_performance` and `serving/weekly_report`: one partition per week."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from stock_platform.components import metadata as page
from stock_platform.components.failures import LATER, no_retry_unless_transient
from stock_platform.components.partitions import calendar, weeks
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.session_assets import coverage
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.weekly import PERFORMANCE, Week, best_and_worst
from stock_platform.lake import read, write
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import MailSettings, ReportSettings, load

if TYPE_CHECKING:
    from stock_platform.serving.report.build import WeeklyReport

KEY = ("symbol", "week")
SPLITS = dg.AssetKey(["reference", "splits"])
DESCRIPTIONS = {
    "week": "its Monday",
    "open": "first open of the week, US dollars in the shares of its last session",
    "high": "highest of the week, likewise",
    "low": "lowest of the week, likewise",
    "close": "last close of the week, likewise",
    "volume": "shares of the week, likewise",
    "return_pct": "(close / open - 1) * 100; null without a bar in the week",
    "range_pct": "(high - low) / open * 100",
    "sessions": "sessions with a bar",
    "sessions_expected": "sessions the exchange held",
}

# A week's days include those ahead and those on which the exchange was closed.
OF_THE_WEEK = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


def week_of(context: dg.AssetExecutionContext) -> Week:
    """Return the week of the run's partition."""
    return Week.of(calendar(), date.fromisoformat(context.partition_key))


@dg.asset(
    key=["indicators", "weekly_performance"],
    partitions_def=weeks,
    deps=[dg.AssetDep(daily_bars, partition_mapping=OF_THE_WEEK), SPLITS],
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(PERFORMANCE, KEY, DESCRIPTIONS),
)
def weekly_performance(
    context: dg.AssetExecutionContext, lake: LakeResource
) -> dg.MaterializeResult:
    """One row is one symbol's week: return from first open to last close, range from low to high.

    A partition is a week, named by its Monday. The running week is told as far as it
    has come; materializing again replaces it. One object holds a year.
    """
    from stock_platform.pipelines.weekly_report import compute_performance

    week = week_of(context)
    with no_retry_unless_transient():
        rows = compute_performance(lake.context(), week)
        published = write.publish_table(
            lake.store(), "weekly_performance", week.monday.year, rows, key=KEY
        )
    movers = best_and_worst(rows)
    told = {"best": movers[0], "worst": movers[1]} if movers else {}
    return dg.MaterializeResult(
        metadata=page.of_publication(published)
        | {name: f"{mover.symbol} {mover.return_pct:+.1f}%" for name, mover in told.items()}
        | {"symbols without a bar": rows.height - rows["return_pct"].count()}
    )


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
    owners=page.OWNERS,
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn("report", "html", "the page that is mailed, charts inside")]
        )
    },
    retry_policy=LATER,
)
def weekly_report(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One partition is one week's report: a page in the lake, mailed once the week is over.

    Materializing again renders it again and never mails a week twice; weeks long past
    and the running one are only rendered. Where nobody is to be mailed, the page and
    what is shown here are the report.
    """
    from stock_platform.pipelines.weekly_report import as_markdown, keep_page
    from stock_platform.pipelines.weekly_report import weekly_report as gathered

    lake_context, week, now = lake.context(), week_of(context), datetime.now(UTC)
    with no_retry_unless_transient():
        report = gathered(lake_context, week, load(ReportSettings), now, log=context.log.info)
        metadata: dict[str, Any] = {
            "report": dg.MetadataValue.md(as_markdown(report)),
            "page": dg.MetadataValue.path(keep_page(lake_context.store, report)),
            "symbols": report.performance.height,
            "charts": len(report.charts),
        }
        metadata["mail"] = _mail(lake_context, report, now)
    context.log.info(f"mail: {metadata['mail']}")
    return dg.MaterializeResult(metadata=metadata)


def _mail(lake_context: LakeContext, report: "WeeklyReport", now: datetime) -> str:
    """Mail the report unless it has been or is not to be; return which."""
    from stock_platform.pipelines.weekly_report import why_not_mailed
    from stock_platform.serving.report.delivery import deliver_report
    from stock_platform.serving.report.mailer import open_mailer

    mail, settings = load(MailSettings), load(ReportSettings)
    reason = why_not_mailed(
        lake_context.calendar,
        report.week,
        now,
        recipients=len(settings.report_to),
        transport=mail.mail_transport,
    )
    if reason:
        return reason
    delivery = deliver_report(
        report,
        open_mailer(mail),
        lake_context.store,
        sender=mail.mail_from,
        to=settings.report_to,
        clock=lambda: datetime.now(UTC),
        attempts_max=settings.report_attempts_max,
        retry_s=settings.report_retry_s,
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
    """The week's performance and report, Saturdays 16:00 UTC."""
    if not read.years_present(lake.store(), "daily_bars"):
        return dg.SkipReason("there is nothing to report: the lake has no daily bars yet")
    day = context.scheduled_execution_time.astimezone(UTC).date()
    week = Week.of(calendar(), day)
    if not week.sessions:
        return dg.SkipReason(f"the exchange held no session in the week of {week.monday}")
    return dg.RunRequest(partition_key=(day - timedelta(days=day.weekday())).isoformat())
