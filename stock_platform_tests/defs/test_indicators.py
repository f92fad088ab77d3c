"""The indicator assets against the simulated vendor, as runs and sensors materialize them."""

from datetime import date, datetime

import dagster as dg
import polars as pl
import pytest

from stock_platform.defs.minute_bars.sensors import SESSION_ASSETS
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.weekly_report import weekly_report_schedule
from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.indicators.weekly import Week
from stock_platform.lake import read, write
from stock_platform.pipelines.context import LakeContext
from stock_platform_tests.defs.conftest import SYMBOLS
from stock_platform_tests.defs.runs import (
    metadata_of,
    run_session,
    run_sessions,
    run_unpartitioned,
)

MINUTE, DAILY = "indicators/minute", "indicators/daily"
AFTER_THE_CLOSE = [asset.key.to_user_string() for asset in SESSION_ASSETS]


def test_a_closed_session_gets_its_indicators_with_everything_else(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]

    result = run_session(instance, session, *AFTER_THE_CLOSE)

    daily = read.table(lake_context.store, "indicators_daily", session.year)
    minute = read.table(lake_context.store, "indicators_minute", session)
    bars = read.minute_bars(lake_context.store, session)
    assert result.success
    assert set(daily["symbol"]) == set(SYMBOLS)
    assert minute.select("symbol", "minute").equals(bars.select("symbol", "minute"))


def test_a_range_of_sessions_is_one_run(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    result = run_sessions(instance, *two_sessions, "lake/daily_bars", DAILY)

    rows = read.table(lake_context.store, "indicators_daily", two_sessions[1].year)
    assert result.success
    assert sorted(rows["session"].unique()) == two_sessions
    assert metadata_of(instance, DAILY)["sessions computed"].value == 2


def test_sessions_without_bars_say_so_and_write_nothing(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    result = run_session(instance, two_sessions[0], MINUTE)

    assert result.success
    assert metadata_of(instance, MINUTE)["sessions computed"].value == 0
    assert read.sessions_present(lake_context.store, "indicators_minute") == set()


def test_a_split_that_does_not_fit_the_prices_is_noticed(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]
    run_sessions(instance, *two_sessions, "lake/daily_bars")
    row = {"symbol": SYMBOLS[0], "executed_on": session, "split_from": 1.0, "split_to": 20.0}
    told = pl.DataFrame([row | {"provider": "test"}], schema_overrides=SPLITS).with_columns(
        pl.lit(None, SPLITS["observed_at"]).alias("observed_at")
    )
    splits = told.select(list(SPLITS)).cast(SPLITS)
    write.publish_table(lake_context.store, "splits", None, splits, key=SPLITS_KEY)

    result = run_session(instance, session, DAILY)

    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("splits_explain_the_prices", False)


def test_a_week_has_a_row_for_every_symbol_of_the_watchlist(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    week = Week.of(lake_context.calendar, two_sessions[1])
    run_sessions(instance, *two_sessions, "lake/daily_bars")

    result = run_unpartitioned(
        instance, "indicators/weekly_performance", partition_key=week.monday.isoformat()
    )

    rows = read.table(lake_context.store, "weekly_performance", week.monday.year)
    assert result.success
    assert sorted(rows["symbol"]) == sorted(SYMBOLS)
    assert rows["return_pct"].null_count() == 0


def _saturday(lake: LakeResource, day: str) -> object:
    at = datetime.fromisoformat(f"{day}T16:00+00:00")
    context = dg.build_schedule_context(scheduled_execution_time=at, resources={"lake": lake})
    return weekly_report_schedule(context)


@pytest.mark.parametrize(
    ("saturday", "monday"), [("2026-11-21", "2026-11-16"), ("2026-07-04", "2026-06-29")]
)
def test_saturday_asks_for_the_week_that_is_over(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    two_sessions: list[date],
    saturday: str,
    monday: str,
) -> None:
    run_session(instance, two_sessions[1], "lake/daily_bars")

    request = _saturday(lake, saturday)

    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == monday


def test_an_empty_lake_has_nothing_to_report(lake: LakeResource) -> None:
    assert isinstance(_saturday(lake, "2026-11-21"), dg.SkipReason)
