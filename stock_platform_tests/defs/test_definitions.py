"""The definitions load without a key, a network or a service, and hold what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from stock_platform_tests.defs.runs import DEFS

ROOT = Path(__file__).resolve().parents[2]
GRAPH = {
    "reference/symbols": set(),
    "reference/splits": set(),
    "reference/dividends": set(),
    "ingest/raw_quotes": {"reference/symbols"},
    "lake/minute_bars": {"reference/symbols"},
    "lake/session_bars": {"lake/minute_bars"},
    "lake/coverage": {"lake/session_bars"},
    "lake/bar_reconciliation": {"lake/session_bars"},
    "lake/daily_bars": {"lake/session_bars"},
    "indicators/minute": {"lake/session_bars", "reference/splits"},
    "indicators/daily": {"lake/daily_bars", "reference/splits"},
    "indicators/weekly_performance": {"lake/daily_bars", "reference/splits"},
    "serving/stock_data": {"lake/daily_bars", "reference/splits"},
    "serving/latest_quotes": {"ingest/raw_quotes"},
    "serving/quote_stream": {"ingest/raw_quotes"},
    "serving/weekly_report": {"indicators/weekly_performance", "lake/coverage"},
}
SENSORS_ON = {
    "minute_bar_gaps",
    "session_gaps",
    "session_settlement",
    "streamed_minutes",
    "missing_reference_data",
    "stream_observation",
    "quote_targets",
    "quote_requests",
    "failed_runs",
    "health_alerts",
}
SCHEDULES_ON = {
    "reference_schedule",
    "nightly_retention",
    "daily_update_schedule",
    "weekly_report_schedule",
    "quote_request_schedule",
}


def test_definitions_load_in_a_bare_environment() -> None:
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    loaded = subprocess.run(
        [sys.executable, "-c", "import stock_platform.definitions"],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        check=False,
    )

    assert loaded.returncode == 0, loaded.stderr.decode()[-2000:]


def test_loading_brings_none_of_the_libraries_that_only_runs_need() -> None:
    heavy = {"boto3", "matplotlib", "pandas", "psycopg", "talib"}
    asked = f"import sys, stock_platform.definitions; print({heavy!r} & set(sys.modules))"

    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asked], cwd=ROOT, capture_output=True, check=True
    )

    assert loaded.stdout.decode().strip() == "set()"


@pytest.mark.parametrize("key", GRAPH)
def test_an_asset_depends_on_what_it_is_made_from(key: str) -> None:
    graph = DEFS.resolve_asset_graph()

    node = graph.get(dg.AssetKey(key.split("/")))

    assert {parent.to_user_string() for parent in node.parent_keys} >= GRAPH[key]


@pytest.mark.parametrize("key", GRAPH)
def test_an_asset_page_shows_columns_owners_kinds_and_code(key: str) -> None:
    node = DEFS.resolve_asset_graph().get(dg.AssetKey(key.split("/")))

    assert "dagster/column_schema" in node.metadata
    assert "dagster/code_references" in node.metadata
    assert node.owners
    assert any(tag.startswith("dagster/kind/") for tag in node.tags)
    assert node.description


@pytest.mark.parametrize("name", sorted(SENSORS_ON))
def test_a_sensor_needed_in_production_is_on_by_default(name: str) -> None:
    sensor = DEFS.resolve_sensor_def(name)

    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("name", sorted(SCHEDULES_ON))
def test_a_schedule_needed_in_production_is_on_by_default(name: str) -> None:
    schedule = DEFS.resolve_schedule_def(name)

    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
