"""The weekly report as an asset: shown on its page, kept in the lake, mailed exactly once."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from stock_platform.cli import app
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.weekly import Week
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.weekly_report import (
    PICTURES_BYTES_MAX,
    coverage_of,
    newest_week,
    page_path,
    why_not_mailed,
)
from stock_platform_tests.defs.runs import (
    metadata_of,
    run_session,
    run_sessions,
    run_unpartitioned,
)
from stock_platform_tests.serving.mail_servers import Mailbox, smtp_server

CALENDAR = Calendar()
WEEK = Week.of(CALENDAR, date(2026, 11, 16))
CLOSE = CALENDAR.grid(date(2026, 11, 20)).closes_at
REPORT = "serving/weekly_report"


@pytest.fixture
def mailbox(lake: LakeResource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with smtp_server() as server:
        for variable, value in {
            "STOCKS_REPORT_TO": '["reader@example.com"]',
            "STOCKS_MAIL_TRANSPORT": "smtp",
            "STOCKS_MAIL_FROM": "Stocks <stocks@example.com>",
            "STOCKS_SMTP_HOST": server.host,
            "STOCKS_SMTP_PORT": str(server.port),
            "STOCKS_SMTP_STARTTLS": "false",
        }.items():
            monkeypatch.setenv(variable, value)
        yield server


@pytest.fixture
def week(lake_context: LakeContext) -> Week:
    """Return the newest week that is over."""
    return newest_week(lake_context.calendar, datetime.now(UTC))


def _report(instance: dg.DagsterInstance, week: Week) -> dg.ExecuteInProcessResult:
    return run_unpartitioned(instance, REPORT, partition_key=week.monday.isoformat())


def test_the_page_shows_the_report_with_charts_below_32_kb(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    week = Week.of(CALENDAR, two_sessions[1])
    run_sessions(instance, *two_sessions, "lake/daily_bars")

    result = _report(instance, week)

    shown = str(metadata_of(instance, REPORT)["report"].value)
    assert result.success
    assert "Weekly Market Report - Best: " in shown
    assert "How complete the data is: " in shown
    assert "data:image/png;base64," in shown
    assert len(shown) < PICTURES_BYTES_MAX * 4 / 3 + 4000


def test_the_whole_report_is_a_page_in_the_lake(
    instance: dg.DagsterInstance, lake_context: LakeContext, week: Week
) -> None:
    _report(instance, week)

    found = lake_context.store.get(page_path(week.monday))
    assert found is not None
    assert found[0].startswith(b"<!doctype html>") or b"<html" in found[0][:200]


def test_a_report_nobody_is_to_get_is_rendered_only(
    instance: dg.DagsterInstance, lake_context: LakeContext, week: Week
) -> None:
    result = _report(instance, week)

    assert result.success
    assert "STOCKS_REPORT_TO" in str(metadata_of(instance, REPORT)["mail"].value)


def test_a_week_is_mailed_once_however_often_it_is_materialized(
    instance: dg.DagsterInstance, mailbox: Mailbox, week: Week
) -> None:
    first = _report(instance, week)
    said = metadata_of(instance, REPORT)["mail"].value
    again = _report(instance, week)

    assert (first.success, again.success) == (True, True)
    assert [message["Subject"][:20] for message in mailbox.received] == ["Weekly Market Report"]
    assert said == "sent now"
    assert "was sent" in str(metadata_of(instance, REPORT)["mail"].value)


def test_an_older_week_is_not_mailed(
    instance: dg.DagsterInstance, mailbox: Mailbox, week: Week
) -> None:
    before = newest_week(CALENDAR, CALENDAR.grid(week.sessions[0]).opens_at)

    result = _report(instance, before)

    assert result.success
    assert mailbox.received == []


@pytest.mark.parametrize(
    ("now", "recipients", "transport", "reason"),
    [
        (CLOSE, 1, "smtp", ""),
        (CLOSE, 0, "smtp", "STOCKS_REPORT_TO"),
        (CLOSE, 1, "none", "STOCKS_MAIL_TRANSPORT"),
        (datetime(2026, 11, 20, 20, 59, tzinfo=UTC), 1, "smtp", "not over"),
        (datetime(2026, 11, 27, 17, 59, tzinfo=UTC), 1, "smtp", ""),
        (datetime(2026, 11, 27, 18, 1, tzinfo=UTC), 1, "smtp", "later week"),
    ],
)
def test_a_report_is_mailed_from_the_weeks_close_until_the_next(
    now: datetime, recipients: int, transport: str, reason: str
) -> None:
    said = why_not_mailed(CALENDAR, WEEK, now, recipients=recipients, transport=transport)

    assert (reason in said) if reason else not said


def test_coverage_counts_every_expected_minute_once(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]
    run_session(instance, session, "lake/session_bars")
    alone = Week(session, (session,))

    found = coverage_of(lake_context, alone, datetime.now(UTC))

    states = found.observed + found.empty + found.silent + found.missing + found.refused
    assert (found.expected, states) == (3 * CALENDAR.grid(session).expected,) * 2
    assert found.percent == "100%"


def test_the_command_writes_a_preview_that_needs_nothing_else(
    lake: LakeResource, tmp_path: Path
) -> None:
    out = tmp_path / "out.html"

    result = CliRunner().invoke(app, ["report", "--preview", str(out)])

    assert result.exit_code == 0, result.output
    assert "Weekly Market Report" in out.read_text()
    assert 'src="http' not in out.read_text()


def test_the_command_prints_the_report(lake: LakeResource) -> None:
    result = CliRunner().invoke(app, ["report", "--week", "2026-11-18"])

    assert "Nov 16-20, 2026" in result.output


def test_a_week_that_was_forgotten_may_be_mailed_again(
    instance: dg.DagsterInstance, mailbox: Mailbox, week: Week
) -> None:
    _report(instance, week)

    CliRunner().invoke(app, ["report", "--week", str(week.monday), "--forget"])

    _report(instance, week)
    assert len(mailbox.received) == 2
