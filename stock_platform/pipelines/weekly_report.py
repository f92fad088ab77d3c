"""What the weekly report says, gathered from the lake; the asset and `stocks report` share it.

Nothing here knows Dagster.
"""

import base64
from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.indicators.weekly import Week, weekly_performance
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore, update
from stock_platform.pipelines.context import LakeContext
from stock_platform.serving.report.build import (
    Coverage,
    WeeklyReport,
    build_report,
    self_contained,
)
from stock_platform.settings import ReportSettings

PICTURES_BYTES_MAX = 30_000
"""Of the charts on an asset's page: they live in the event log for ever."""


def newest_week(calendar: Calendar, now: datetime) -> Week:
    """Return the newest week whose sessions are all over."""
    today = now.astimezone(NEW_YORK).date()
    week = Week.of(calendar, today)
    while not is_over(calendar, week, now):
        week = Week.of(calendar, week.monday - timedelta(days=1))
    return week


def is_over(calendar: Calendar, week: Week, now: datetime) -> bool:
    """Return whether the last session of a week has closed."""
    return bool(week.sessions) and calendar.grid(week.last).closes_at <= now


def why_not_mailed(
    calendar: Calendar, week: Week, now: datetime, *, recipients: int, transport: str
) -> str:
    """Give why a week's report is rendered only; nothing when it is to be mailed.

    A week that still runs would be told half and never again, and a backfill of old
    weeks must not fill anybody's mailbox.
    """
    if not recipients or transport == "none":
        return "no mail: STOCKS_REPORT_TO and STOCKS_MAIL_TRANSPORT are not set"
    if not is_over(calendar, week, now):
        return "the week is not over"
    return "" if week == newest_week(calendar, now) else "a later week is over"


def watchlist(lake_context: LakeContext, week: Week) -> list[str]:
    """Return the symbols reported on: those configured, or the whole market's of the week."""
    if lake_context.market.symbols is not None:
        return list(lake_context.market.symbols)
    return lake_context.universe(week.last)


def performance_of(lake_context: LakeContext, week: Week) -> pl.DataFrame:
    """Compute how each symbol of the watchlist did."""
    bars = read.daily_bars(lake_context.store, week.monday.year, week.last.year)
    splits = read.table(lake_context.store, "splits", None)
    return weekly_performance(bars, splits, week, watchlist(lake_context, week))


def coverage_of(lake_context: LakeContext, week: Week, now: datetime) -> Coverage:
    """Add up what is known of the week's minutes so far."""
    totals = [
        lake_context.coverage(grid).totals(grid.closed_slots(now, lake_context.grace_s))
        for grid in map(lake_context.calendar.grid, week.sessions)
        if grid.opens_at <= now
    ]
    summed = {
        name: sum(each[name] for each in totals)
        for name in ("expected", "observed", "empty", "silent", "missing", "refused")
    }
    # A ledger counts what is refused as missing too; a reader wants each minute once.
    summed["missing"] -= summed["refused"]
    return Coverage(**summed)


def weekly_report(
    lake_context: LakeContext, week: Week, settings: ReportSettings, now: datetime
) -> WeeklyReport:
    """Gather a week's report: performance, charts, and how complete the data behind it is."""
    performance = performance_of(lake_context, week)
    before = week.monday - timedelta(days=70)
    bars = read.daily_bars(lake_context.store, before.year, week.last.year)
    return build_report(
        week,
        performance,
        bars.filter(pl.col("session") >= before),
        read.table(lake_context.store, "splits", None),
        coverage=coverage_of(lake_context, week, now),
        charts_max=settings.report_charts_max,
        rows_max=settings.report_rows_max,
    )


def as_markdown(report: WeeklyReport) -> str:
    """Show a report on an asset's page: its text, and as many charts as are small enough."""
    text = report.rendered.text
    shown, left = list[str](), PICTURES_BYTES_MAX
    for symbol, png in report.charts.items():
        if len(png) <= left:
            left -= len(png)
            picture = base64.b64encode(png).decode()
            shown.append(f"**{symbol}**\n\n![{symbol}](data:image/png;base64,{picture})")
    return "\n\n".join([f"### {report.subject}", f"```text\n{text.strip()}\n```", *shown])


def page_path(monday: date) -> str:
    """Name the report's page in the lake."""
    return f"weekly_report/week={monday.isoformat()}/report.html"


def keep_page(store: ObjectStore, report: WeeklyReport) -> str:
    """Keep the whole report as one HTML file in the lake; return its URI. Safe to repeat."""
    path = page_path(report.week.monday)
    data = self_contained(report).encode()
    update(store, path, lambda found: (None if found == data else data, None))
    return store.uri(path)
