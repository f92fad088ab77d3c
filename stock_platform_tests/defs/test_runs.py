"""Runs as the UI and the sensors start them, against the simulated vendor."""

from datetime import date

import dagster as dg
import polars as pl

from stock_platform.components.heal_requests import HEAL_SESSION
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.simulator.server import Simulator
from stock_platform_tests.defs.conftest import SYMBOLS
from stock_platform_tests.defs.runs import run_minutes, run_session

MINUTE_BARS = dg.AssetKey(["lake", "minute_bars"])


def test_a_range_of_minutes_is_one_run_that_brings_every_true_bar(
    instance: dg.DagsterInstance,
    lake_context: LakeContext,
    simulator: Simulator,
    two_sessions: list[date],
) -> None:
    session = two_sessions[1]
    grid = lake_context.calendar.grid(session)

    result = run_minutes(instance, session, "10:00", "10:29")

    held = read.minute_bars(lake_context.store, session, ["symbol", "minute"])
    first, last = grid.minute(30), grid.minute(59)
    true = simulator.market.minute_bars(session).filter(pl.col("minute").is_between(first, last))
    assert result.success
    assert held.height == true.height
    assert len(instance.get_materialized_partitions(MINUTE_BARS)) == 30


def test_materializing_again_changes_nothing(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[0]
    run_minutes(instance, session, "11:00", "11:04")
    before = read.minute_bars(lake_context.store, session)

    result = run_minutes(instance, session, "11:00", "11:04")

    assert result.success
    assert read.minute_bars(lake_context.store, session).equals(before)


def test_a_run_over_two_sessions_fails_with_what_to_do(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    tags = {
        "dagster/asset_partition_range_start": f"{two_sessions[0]}|10:00",
        "dagster/asset_partition_range_end": f"{two_sessions[1]}|10:01",
    }

    result = run_minutes(instance, two_sessions[0], "10:00", "10:01", tags=tags)

    assert not result.success


def test_a_settled_session_is_accounted_for_verified_and_checked(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]
    assets = ("session_bars", "coverage", "bar_reconciliation", "daily_bars")

    result = run_session(instance, session, *(f"lake/{name}" for name in assets))

    [known] = coverage_table.summaries(lake_context.store, [session]).iter_rows(named=True)
    checks = result.get_asset_check_evaluations()
    daily = read.daily_bars(lake_context.store, session.year, session.year)
    assert result.success
    assert (known["missing"], known["verified_at"] is None) == (0, False)
    assert {check.check_name for check in checks if check.passed} >= {
        "the_schema_is_right",
        "symbol_and_minute_are_unique",
        "prices_are_in_order",
        "minutes_are_aligned",
        "every_minute_is_accounted_for",
        "daily_prices_are_in_order",
    }
    assert set(daily["symbol"]) == set(SYMBOLS)


def test_a_session_page_shows_its_heat_map_below_32_kb(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    run_session(instance, two_sessions[1], "lake/session_bars", "lake/coverage")

    event = instance.get_latest_materialization_event(dg.AssetKey(["lake", "coverage"]))

    assert event is not None
    assert event.asset_materialization is not None
    picture = event.asset_materialization.metadata["heat map"]
    assert isinstance(picture, dg.MarkdownMetadataValue)
    assert "data:image/png;base64," in (picture.md_str or "")
    assert len(picture.md_str or "") * 3 / 4 < 32_000


def test_a_sensor_run_leaves_what_is_backing_off_alone(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]
    run_minutes(instance, session, "10:00", "10:01")
    grid = lake_context.calendar.grid(session)
    coverage = lake_context.coverage(grid)
    coverage.attempts[:] = 100
    coverage_table.update(lake_context.store, grid, lambda _: coverage)
    before = read.minute_bars(lake_context.store, session).height

    run_minutes(instance, session, "10:02", "10:03", tags={HEAL_SESSION: session.isoformat()})

    assert read.minute_bars(lake_context.store, session).height == before


def test_quotes_of_past_minutes_are_rebuilt_from_bars(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    session = two_sessions[1]
    run_minutes(instance, session, "09:30", "09:59")

    result = run_minutes(instance, session, "09:55", "09:59", asset="ingest/raw_quotes")

    quotes = read.raw_quotes(lake_context.store, session)
    assert result.success
    assert quotes["minute"].n_unique() == 5
    assert quotes["provider"].unique().to_list() == ["minute_bars"]


def test_settling_a_session_records_its_minutes_once(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    run_session(instance, two_sessions[1], "lake/session_bars")

    result = run_session(instance, two_sessions[1], "lake/session_bars")

    again = [event for event in result.get_asset_materialization_events() if event.partition]
    assert len(instance.get_materialized_partitions(MINUTE_BARS)) == 390
    assert [event.asset_key for event in again] == [dg.AssetKey(["lake", "session_bars"])]
