"""`stocks report`: a week's report on the terminal, as a page, or to be mailed again."""

from datetime import UTC, date, datetime
from pathlib import Path

import typer

from stock_platform.indicators.weekly import Week
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.weekly_report import newest_week, weekly_report
from stock_platform.serving.report.build import preview, render
from stock_platform.serving.report.delivery import reset_delivery
from stock_platform.settings import (
    HealingSettings,
    LakeSettings,
    MarketSettings,
    ReportSettings,
    load,
)


def show_report(day: date | None, out_path: Path | None, *, forget_mail: bool) -> None:
    """Print the report of the week of `day`, or write it to `out_path`; nothing is mailed.

    With `forget_mail` the week counts as not mailed: for who knows that its mail did
    not arrive. The asset's next materialization mails it.
    """
    lake_context = LakeContext(
        open_store(load(LakeSettings)), load(MarketSettings), load(HealingSettings)
    )
    now = datetime.now(UTC)
    week = Week.of(lake_context.calendar, day) if day else newest_week(lake_context.calendar, now)
    if forget_mail:
        reset_delivery(lake_context.store, week)
        typer.echo(f"the week of {week.monday} counts as not mailed: materialize its report")
        return
    report = weekly_report(lake_context, week, load(ReportSettings), now)
    if out_path is None:
        typer.echo(render(report, image=lambda symbol: symbol).text)
        return
    typer.echo(f"{report.subject}\n{preview(report, out_path)}")
