"""Who is told of what: failed runs nobody retries, gaps nobody fills, silence, delay."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import msgspec
import pytest

from stock_platform.defs.operations.alerts import failed_runs, health_alerts, name_of
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.indicators.weekly import Week
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.append_log import record_responses
from stock_platform.pipelines.alert_rules import SESSIONS_ALERTED_MAX, AlertRules
from stock_platform.pipelines.context import LakeContext
from stock_platform.serving.alerts.dispatch import Alert, AlertKind
from stock_platform.serving.report.delivery import MailRecord, record_path
from stock_platform.settings import AutomationSettings, MarketSettings
from stock_platform_tests.defs.runs import run_session
from stock_platform_tests.serving.hooks import Hook, webhook

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
"""A Saturday, half an hour after a report is late."""
WEEK = date(2026, 11, 16)


@pytest.fixture
def hook(lake: LakeResource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with webhook() as server:
        monkeypatch.setenv("STOCKS_ALERT_WEBHOOK", server.url)
        yield server


def _watch(lake_context: LakeContext, now: datetime = NOW) -> AlertRules:
    return AlertRules(
        context=lake_context, now=now, following=AutomationSettings(), dagster_url="http://dagster"
    )


def _kinds(alerts: Iterator[Alert]) -> list[tuple[AlertKind, str]]:
    return [(alert.kind, alert.key) for alert in alerts]


def _failed(instance: dg.DagsterInstance, session: date, **tags: str) -> dg.RunFailureSensorContext:
    result = run_session(instance, session, "serving/stock_data")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    instance.add_run_tags(result.run_id, tags)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=run,
        partition_key=None,
    )
    return context.for_run_failure()


@pytest.fixture
def failing(lake: LakeResource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_POSTGRES_URL", "mysql://nobody@127.0.0.1/none")


def test_a_failed_run_is_told_with_its_reason_and_a_link(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    hook: Hook,
    failing: None,
    two_sessions: list[date],
) -> None:
    context = _failed(instance, two_sessions[1])

    failed_runs(context, lake=lake)

    [message] = [received["text"] for received in hook.received]
    assert "serving/stock_data" in message
    assert "expected postgresql://" in message
    assert f"/runs/{context.dagster_run.run_id}" in message


def test_the_daemon_finds_failed_runs_by_itself(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    hook: Hook,
    failing: None,
    two_sessions: list[date],
) -> None:
    cursor = _look_for_failures(instance, lake, None)
    run_session(instance, two_sessions[0], "serving/stock_data")
    run_session(instance, two_sessions[1], "lake/daily_bars", "serving/stock_data")

    _look_for_failures(instance, lake, cursor)

    told = [received["text"].split("\n")[0] for received in hook.received]
    assert told == [
        "*Run of serving/stock_data failed* (error)",
        "*Run of lake/daily_bars, serving/stock_data failed* (error)",
    ]


def _look_for_failures(
    instance: dg.DagsterInstance, lake: LakeResource, cursor: str | None
) -> str | None:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"lake": lake})
    return failed_runs.evaluate_tick(context).cursor


def test_a_run_that_will_be_retried_is_not_told(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    hook: Hook,
    failing: None,
    two_sessions: list[date],
) -> None:
    context = _failed(instance, two_sessions[1], **{"dagster/will_retry": "true"})

    failed_runs(context, lake=lake)

    assert hook.received == []


def test_the_same_job_failing_again_is_told_once(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    hook: Hook,
    failing: None,
    two_sessions: list[date],
) -> None:
    for session in two_sessions:
        failed_runs(_failed(instance, session), lake=lake)

    assert len(hook.received) == 1


def test_a_run_of_many_assets_is_named_by_a_few() -> None:
    keys = {dg.AssetKey(["lake", name]) for name in "abcde"}
    run = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset(keys))

    assert name_of(run) == "lake/a, lake/b, lake/c and 2 more"


def test_without_a_target_everything_is_quiet(
    instance: dg.DagsterInstance, lake: LakeResource
) -> None:
    said = _tick(instance, lake)

    assert "STOCKS_ALERT_WEBHOOK" in str(said)


def test_standing_troubles_are_told_once_in_a_window(
    instance: dg.DagsterInstance, lake: LakeResource, hook: Hook
) -> None:
    first = _tick(instance, lake)
    told = len(hook.received)
    again = _tick(instance, lake)

    assert "stale_data lake/minute_bars" in str(first)
    assert told >= 4
    assert len(hook.received) == told
    assert "nothing to alert about" in str(again)


def test_what_did_not_arrive_is_told_by_a_later_tick(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    hook: Hook,
    failing: None,
    two_sessions: list[date],
) -> None:
    hook.answers = [(400, {})]
    failed_runs(_failed(instance, two_sessions[1]), lake=lake)

    said = _tick(instance, lake)

    assert "failed_run serving/stock_data" in str(said)


def _tick(instance: dg.DagsterInstance, lake: LakeResource) -> object:
    return health_alerts(
        dg.build_sensor_context(
            instance=instance, resources={"lake": lake}, sensor_name="standing_troubles"
        )
    )


def _ledger(lake_context: LakeContext, session: date) -> SessionCoverage:
    coverage = SessionCoverage.blank(
        lake_context.calendar.grid(session), lake_context.market.symbols or ()
    )
    coverage.checked_at = coverage.grid.closes_at + timedelta(hours=1)
    return coverage


def test_refused_minutes_are_told_with_their_provider(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    coverage = _ledger(lake_context, two_sessions[1])
    grid = coverage.grid
    coverage.bits["observed"][1:] = True
    coverage.bits["refused"][0] = True
    coverage_table.update(lake_context.store, grid, lambda _: coverage)
    response = ProviderResponse(
        provider="massive",
        session=grid.session,
        symbols=(str(coverage.symbols[0]),),
        first=grid.minute(0),
        last=grid.minute(389),
        asked_at=grid.closes_at,
        revision=Revision.REST,
        outcome="refused",
    )
    record_responses(lake_context.store, grid.session, [response])

    [alert] = _watch(lake_context, grid.closes_at + timedelta(hours=1)).gaps()

    assert (alert.kind, alert.key) == (AlertKind.REFUSED_GAP, f"{grid.session} massive")
    assert str(coverage.symbols[0]) in alert.text


def test_minutes_whose_tries_are_used_up_are_told(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    coverage = _ledger(lake_context, two_sessions[1])
    coverage.bits["observed"][1:] = True
    coverage.attempts[0] = 100
    coverage_table.update(lake_context.store, coverage.grid, lambda _: coverage)

    found = _kinds(_watch(lake_context, coverage.grid.closes_at + timedelta(hours=1)).gaps())

    assert found == [(AlertKind.EXHAUSTED_GAP, f"{two_sessions[1]}")]


def test_minutes_that_are_still_tried_are_no_news(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    coverage = _ledger(lake_context, two_sessions[1])
    coverage_table.update(lake_context.store, coverage.grid, lambda _: coverage)

    assert _kinds(_watch(lake_context, coverage.grid.closes_at + timedelta(hours=1)).gaps()) == []


def test_what_is_missing_long_after_the_close_is_told_whatever_was_tried(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    coverage = _ledger(lake_context, two_sessions[1])
    coverage_table.update(lake_context.store, coverage.grid, lambda _: coverage)

    found = _kinds(_watch(lake_context, coverage.grid.closes_at + timedelta(days=9)).gaps())

    assert (AlertKind.EXHAUSTED_GAP, f"{two_sessions[1]}") in found


def test_many_hopeless_sessions_share_one_alert_beyond_the_newest(
    lake_context: LakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = lake_context.calendar.sessions(date(2026, 9, 1), date(2026, 9, 14))
    market = MarketSettings(
        symbols=lake_context.market.symbols, first_session=days[0], last_session=days[-1]
    )
    wide = LakeContext(lake_context.store, market, lake_context.healing)
    for day in days:
        coverage = _ledger(wide, day)
        coverage_table.update(wide.store, coverage.grid, lambda _, coverage=coverage: coverage)

    found = _kinds(_watch(wide).gaps())

    assert len(found) == SESSIONS_ALERTED_MAX + 1
    assert found[-1] == (AlertKind.EXHAUSTED_GAP, "older sessions")


def test_a_channel_without_a_sign_of_life_is_told_while_the_market_is_open(
    lake_context: LakeContext,
) -> None:
    grid = lake_context.calendar.grid(date(2026, 11, 20))
    signs = {"AM": grid.minute(60), "T": grid.minute(119)}

    found = _kinds(_watch(lake_context, grid.minute(120)).stream(signs, grid))

    assert found == [(AlertKind.SILENT_STREAM, "AM")]


@pytest.mark.parametrize("now", [NOW, datetime(2026, 11, 27, 12, tzinfo=UTC)])
def test_a_report_that_was_due_and_not_begun_is_late(
    lake_context: LakeContext, now: datetime
) -> None:
    assert _kinds(_watch(lake_context, now).report()) == [(AlertKind.LATE_REPORT, f"{WEEK}")]


def test_a_report_is_not_late_in_its_first_two_hours(lake_context: LakeContext) -> None:
    due = datetime(2026, 11, 21, 17, 59, tzinfo=UTC)

    assert _kinds(_watch(lake_context, due).report()) == []


def _mailed(lake_context: LakeContext, state: str) -> None:
    week = Week.of(lake_context.calendar, WEEK)
    record = MailRecord(state, "<id>", 1, NOW)
    lake_context.store.put_if_match(record_path(week), msgspec.json.encode(record), None)


def test_a_report_that_was_sent_is_not_late(lake_context: LakeContext) -> None:
    _mailed(lake_context, "sent")

    assert _kinds(_watch(lake_context).report()) == []


def test_a_report_nobody_knows_the_fate_of_is_told_as_that(lake_context: LakeContext) -> None:
    _mailed(lake_context, "sending")

    [alert] = _watch(lake_context).report()

    assert "'sending'" in alert.text


def test_datasets_that_lack_a_session_are_stale(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    coverage = _ledger(lake_context, two_sessions[1])
    coverage_table.update(lake_context.store, coverage.grid, lambda _: coverage)

    found = _kinds(_watch(lake_context).stale())

    stale = [dataset for _, dataset in found]
    assert stale == ["lake/minute_bars", "indicators/daily", "indicators/minute"]
