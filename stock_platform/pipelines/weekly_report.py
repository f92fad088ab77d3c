"""The weekly report: `indicators/weekly_performance`, charts, and how complete the data is."""

import base64
from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.indicators.weekly import PERFORMANCE, Week, weekly_performance
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore, update
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Log
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
    """Return why a week's report is rendered only; empty when it is to be mailed.

    A week that still runs would be mailed half and never again, and a backfill of old
    weeks must not fill a mailbox.
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


def compute_performance(lake_context: LakeContext, week: Week) -> pl.DataFrame:
    """Return a frame of `PERFORMANCE` of the watchlist, computed from daily bars."""
    bars = read.daily_bars(lake_context.store, week.monday.year, week.last.year)
    splits = read.table(lake_context.store, "splits", None)
    return weekly_performance(bars, splits, week, watchlist(lake_context, week))


def performance_of(lake_context: LakeContext, week: Week, log: Log) -> pl.DataFrame:
    """Return a frame of `PERFORMANCE` of the watchlist, from `indicators/weekly_performance`.

    What the table lacks is computed as the asset computes it, and logged.
    """
    watched = watchlist(lake_context, week)
    table = read.table(lake_context.store, "weekly_performance", week.monday.year)
    stored = pl.concat([pl.DataFrame(schema=PERFORMANCE), *([table] if table.width else [])])
    stored = stored.filter(
        (pl.col("week") == week.monday) & pl.col("symbol").is_in(pl.Series(watched).implode())
    )
    lacking = sorted(set(watched) - set(stored["symbol"]))
    if not lacking:
        return stored.sort("symbol")
    log(
        f"indicators/weekly_performance lacks {len(lacking)} of {len(watched)} symbols in the "
        f"week of {week.monday}: computed for this report"
    )
    computed = compute_performance(lake_context, week)
    missing = pl.col("symbol").is_in(pl.Series(lacking).implode())
    return pl.concat([stored, computed.filter(missing)]).sort("symbol")


def coverage_of(lake_context: LakeContext, week: Week, now: datetime) -> Coverage:
    """Return the counts of the week's minutes that have closed."""
    totals = [
        lake_context.coverage(grid).totals(grid.closed_slots(now, lake_context.grace_s))
        for grid in map(lake_context.calendar.grid, week.sessions)
        if grid.opens_at <= now
    ]
    summed = {
        name: sum(each[name] for each in totals)
        for name in ("expected", "observed", "empty", "silent", "missing", "refused")
    }
    # Refused minutes are counted in missing too; a reader wants each minute once.
    summed["missing"] -= summed["refused"]
    return Coverage(**summed)


def weekly_report(
    lake_context: LakeContext,
    week: Week,
    settings: ReportSettings,
    now: datetime,
    *,
    log: Log = lambda line: None,
) -> WeeklyReport:
    """Build a week's report: performance, charts, and how complete the data behind it is.

    `log` gets a line when the performance had to be computed:

        weekly_report(context, newest_week(context.calendar, now), settings.report, now)
    """
    performance = performance_of(lake_context, week, log)
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
