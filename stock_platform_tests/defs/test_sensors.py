"""What the sensors ask for, given what the lake knows."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from stock_platform.components.heal_requests import read_cursor, write_cursor
from stock_platform.defs.minute_bars.sensors import (
    minute_bar_gaps,
    session_gaps,
    session_settlement,
    streamed_minutes,
)
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.bars import MINUTE_BARS, validate_bars
from stock_platform.domain.coverage import SessionCoverage
from stock_platform.healing.scheduling import HealHistory
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import stream_parts, tables
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.due_sessions import sessions_with_gaps, settlement_due
from stock_platform_tests.defs.runs import run_request, run_session

SESSION_ASSETS = (
    "lake/session_bars",
    "lake/coverage",
    "lake/bar_reconciliation",
    "lake/daily_bars",
)


def _tick(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    lake: LakeResource,
    cursor: str | None = None,
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"lake": lake}, sensor_name=sensor.name
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def _requests(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def test_a_whole_missing_session_is_one_run(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date]
) -> None:
    requests = _requests(_tick(minute_bar_gaps, instance, lake))

    spans = [request.tags["heal/range"] for request in requests]
    assert spans == [f"{session} 09:30-15:59" for session in reversed(two_sessions)]


def test_a_daemon_killed_before_it_stored_the_cursor_asks_under_the_same_keys(
    instance: dg.DagsterInstance, lake: LakeResource
) -> None:
    first = _requests(_tick(minute_bar_gaps, instance, lake))
    again = _requests(_tick(minute_bar_gaps, instance, lake))

    assert [request.run_key for request in again] == [request.run_key for request in first]


def test_a_stored_cursor_keeps_a_gap_from_being_asked_for_twice(
    instance: dg.DagsterInstance, lake: LakeResource
) -> None:
    first = _tick(minute_bar_gaps, instance, lake)
    assert isinstance(first, dg.SensorResult)

    assert not _requests(_tick(minute_bar_gaps, instance, lake, cursor=first.cursor))


def test_a_healed_and_settled_lake_asks_for_nothing(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date]
) -> None:
    for session in two_sessions:
        run_session(instance, session, *SESSION_ASSETS)

    ticks = [
        _tick(sensor, instance, lake)
        for sensor in (minute_bar_gaps, session_gaps, session_settlement)
    ]

    assert [type(tick) for tick in ticks] == [dg.SkipReason] * 3


def test_what_a_gap_sensor_asks_for_heals_the_gap(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
) -> None:
    newest = _requests(_tick(minute_bar_gaps, instance, lake))[0]

    result = run_request(instance, newest, "lake/minute_bars")

    coverage = lake_context.coverage(lake_context.calendar.grid(two_sessions[1]))
    assert result.success
    assert coverage.totals()["missing"] == 0


def test_sessions_beyond_the_live_ones_belong_to_session_gaps(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    two_sessions: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_LIVE_SESSIONS", "1")

    [request] = _requests(_tick(session_gaps, instance, lake))

    assert request.tags["heal/session"] == two_sessions[0].isoformat()


def test_a_closed_session_is_settled_once(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date]
) -> None:
    requests = _requests(_tick(session_settlement, instance, lake))

    days = [request.partition_key for request in requests]
    assert days == [session.isoformat() for session in reversed(two_sessions)]


def test_a_session_that_a_heal_verified_is_settled_all_the_same(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date]
) -> None:
    newest = _requests(_tick(minute_bar_gaps, instance, lake))[0]
    run_request(instance, newest, "lake/minute_bars")

    requests = _requests(_tick(session_settlement, instance, lake))

    assert two_sessions[1].isoformat() in [request.partition_key for request in requests]


def test_streamed_minutes_are_recorded_without_a_run(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
) -> None:
    session = two_sessions[1]
    bars = _one_bar(lake_context, session)
    stream_parts.write_live_minute(lake_context.store, session, "0930", "test", bars)

    result = _tick(streamed_minutes, instance, lake)

    assert isinstance(result, dg.SensorResult)
    [event] = result.asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.partition == f"{session}|09:30"
    assert event.metadata["bars"].value == bars.height
    # Written now, long after its minute: the lag says so.
    ended_at = lake_context.calendar.grid(session).minute(1)
    age = (datetime.now(UTC) - ended_at).total_seconds()
    assert age - 60 < event.metadata["lag in seconds"].value <= age + 0.1  # told in tenths


def test_a_cursor_survives_being_written_and_read() -> None:
    asked = {
        date(2026, 11, 19): HealHistory(
            count=3,
            runs_without_progress=1,
            missing=42,
            at=datetime(2026, 11, 19, 15, tzinfo=UTC),
            last=7,
        )
    }

    assert read_cursor(write_cursor(asked)) == asked


@pytest.mark.parametrize("cursor", ["not json", "[]", '{"x": 1}', None])
def test_an_unreadable_cursor_counts_as_empty(cursor: str | None) -> None:
    assert read_cursor(cursor) == {}


def _one_bar(lake_context: LakeContext, session: date) -> pl.DataFrame:
    grid = lake_context.calendar.grid(session)
    row = {
        "symbol": "AAPL",
        "minute": grid.opens_at,
        **dict.fromkeys(("open", "high", "low", "close"), 100.0),
        "volume": 10.0,
        "provider": "test",
        "revision": "live",
        "observed_at": grid.minute(1),
    }
    return validate_bars(pl.DataFrame([row]), MINUTE_BARS, dataset="test").bars


def test_a_ledger_kept_before_the_close_does_not_pass_for_a_whole_session(
    lake: LakeResource, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    grid = lake_context.calendar.grid(two_sessions[0])
    morning = SessionCoverage.blank(grid, lake_context.market.symbols or ())
    morning.checked_at = grid.minute(60)
    morning.bits["observed"][:, :60] = True
    coverage_table.update(lake_context.store, grid, lambda _: morning)

    assert sessions_with_gaps(lake_context, [two_sessions[0]]) == [two_sessions[0]]


def test_one_unreadable_session_does_not_keep_the_others_from_healing(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
) -> None:
    path = tables.data("coverage", two_sessions[1])
    lake_context.store.put_if_match(path, b"not parquet", None)

    [request] = _requests(_tick(minute_bar_gaps, instance, lake))

    assert request.tags["heal/session"] == two_sessions[0].isoformat()


def test_each_verification_of_a_session_is_another_need(
    lake_context: LakeContext, two_sessions: list[date]
) -> None:
    closes_at = lake_context.calendar.grid(two_sessions[0]).closes_at
    hours = (0.5, 2, 30, 200)

    needs = [
        settlement_due(
            lake_context,
            two_sessions[0],
            closes_at + timedelta(hours=wait),
            verified_at=None,
            settled=False,
        )
        for wait in hours
    ]

    assert [need.last for need in needs if need] == [1, 2, 3, 4]


@pytest.mark.parametrize("sensor", [minute_bar_gaps, session_gaps, session_settlement])
def test_without_a_provider_a_sensor_skips_and_says_what_to_set(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    lake: LakeResource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MASSIVE_API_KEY", "POLYGON_API_KEY", "MASSIVE_FLATFILES_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("FINNHUB_API_KEY", "RAPIDAPI_KEY"):
        monkeypatch.delenv(name, raising=False)

    result = _tick(sensor, instance, lake)

    assert isinstance(result, dg.SkipReason)
    assert "MASSIVE_API_KEY" in (result.skip_message or "")
