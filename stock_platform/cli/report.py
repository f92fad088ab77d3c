"""`stocks report`: a week's report on the terminal, as a page, or to be mailed again."""

from datetime import UTC, date, datetime
from pathlib import Path

import typer

from stock_platform.indicators.weekly import Week
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.weekly_report import newest_week, weekly_report
from stock_platform.serving.report.build import preview
from stock_platform.serving.report.delivery import reset_delivery
from stock_platform.settings import Settings


def show_report(day: date | None, out_path: Path | None, *, reset_mail: bool) -> None:
    """Print the report of the week of `day`, or write it to `out_path`; nothing is mailed.

    With `reset_mail` the record of the week's mail is deleted, for a mail that did not
    arrive: the next materialization of the asset mails it again.
    """
    settings = Settings.from_env()
    lake_context = LakeContext(
        open_store(settings.lake, create=False), settings.market, settings.healing
    )
    now = datetime.now(UTC)
    week = Week.of(lake_context.calendar, day) if day else newest_week(lake_context.calendar, now)
    if reset_mail:
        reset_delivery(lake_context.store, week)
        typer.echo(
            f"The week of {week.monday} counts as not mailed. "
            "Materialize serving/weekly_report of that week to mail it."
        )
        return
    report = weekly_report(
        lake_context,
        week,
        settings.report,
        now,
        log=lambda line: typer.echo(line, err=True),
    )
    if out_path is None:
        typer.echo(report.rendered.text)
        return
    typer.echo(f"{report.subject}\n{preview(report, out_path)}")
