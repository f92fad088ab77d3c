"""A DAGSTER_HOME written before the rebuild keeps its history and a person's decisions."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus

from stock_platform.cli.dev.home import prepare_home
from stock_platform.components.heal_requests import read_cursor, sessions_that_failed
from stock_platform.components.renamed import NEW_NAMES, carry_over_sensor_states
from stock_platform_tests.golden.facts import FACTS, GOLDEN, digest, name_now
from stock_platform_tests.house.repository import text

GAP_SENSORS = ("minute_bar_gaps", "session_gaps", "after_the_close")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    with tarfile.open(GOLDEN / "dagster_home" / "dagster_home.tar.xz") as archive:
        archive.extractall(home, filter="data")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.mark.parametrize("asset", FACTS["dagster_home"]["materialized_partitions"])
def test_the_partitions_materialized_before_are_still_materialized(
    instance: dg.DagsterInstance, asset: str
) -> None:
    key = dg.AssetKey(asset.split("/"))

    found = sorted(instance.get_materialized_partitions(key))

    known = FACTS["dagster_home"]["materialized_partitions"][asset]
    assert (len(found), digest("\n".join(found))) == (known["count"], known["sha256"])


def test_every_asset_with_a_history_is_still_an_asset(
    graph: dict[str, Any], instance: dg.DagsterInstance
) -> None:
    assert {key.to_user_string() for key in instance.all_asset_keys()} <= set(graph["assets"])


def test_the_runs_of_before_are_there_with_their_end(instance: dg.DagsterInstance) -> None:
    found = {run.run_id: run.status.name for run in instance.get_runs()}

    assert found == {run["run_id"]: run["status"] for run in FACTS["dagster_home"]["runs"]}


def test_every_sensor_and_schedule_with_a_state_is_still_there(graph: dict[str, Any]) -> None:
    known = {name_now(name) for name in FACTS["dagster_home"]["instigators"]}

    assert known <= set(graph["sensors"]) | set(graph["schedules"])


@pytest.mark.parametrize("sensor", FACTS["dagster_home"]["turned_off_by_a_person"])
def test_a_sensor_a_person_turned_off_is_still_off(
    instance: dg.DagsterInstance, sensor: str
) -> None:
    assert f"Sensor: {sensor} [STOPPED]" in _dagster("sensor", "list")


@pytest.mark.parametrize(("old", "new"), NEW_NAMES.items())
def test_the_change_log_names_the_renamed(old: str, new: str) -> None:
    assert f"`{old}` is now `{new}`" in text("CHANGELOG.md")


def test_the_states_of_renamed_sensors_and_schedules_are_carried_over_once(
    instance: dg.DagsterInstance,
) -> None:
    before = _states(instance)
    renamed = {old: new for old, new in NEW_NAMES.items() if old in before}

    carried = carry_over_sensor_states(instance)

    after = _states(instance)
    assert carried == sorted(renamed.values()) == sorted(NEW_NAMES.values())
    assert {old: after[new] for old, new in renamed.items()} == {
        old: before[old] for old in renamed
    }
    assert carry_over_sensor_states(instance) == []
    assert _states(instance) == after


@pytest.mark.parametrize("schedule", FACTS["dagster_home"]["schedules_turned_on_by_a_person"])
def test_a_schedule_a_person_turned_on_is_still_on(
    instance: dg.DagsterInstance, schedule: str
) -> None:
    prepare_home(Path(instance.root_directory))

    assert f"Schedule: {name_now(schedule)} [RUNNING]" in _dagster("schedule", "list")


def test_a_state_under_the_new_name_is_never_overwritten(instance: dg.DagsterInstance) -> None:
    carry_over_sensor_states(instance)
    for state in instance.all_instigator_state():
        if state.instigator_name == "session_settlement":
            instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))

    assert carry_over_sensor_states(instance) == []

    assert _states(instance)["session_settlement"][0] == InstigatorStatus.STOPPED


def test_a_session_that_failed_under_a_sensors_old_name_counts_as_failed(
    instance: dg.DagsterInstance,
) -> None:
    tags = {"dagster/sensor_name": "after_the_close", "heal/session": "2026-11-19"}
    run = dg.DagsterRun(job_name="a", tags=tags, status=dg.DagsterRunStatus.FAILURE)
    instance.add_run(run)

    assert sessions_that_failed(instance, "session_settlement") == {date(2026, 11, 19)}


def test_the_command_of_the_images_carries_the_states_over(instance: dg.DagsterInstance) -> None:
    command = [sys.executable, "-m", "stock_platform.components.renamed"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "quote_polling_schedule" in done.stdout
    assert "Warning" not in done.stderr
    assert _states(instance)["quote_polling_schedule"][0] == InstigatorStatus.RUNNING


@pytest.mark.parametrize(
    "sensor", [n for n in GAP_SENSORS if FACTS["dagster_home"]["cursors"].get(n)]
)
def test_the_cursor_of_a_gap_sensor_is_understood(sensor: str) -> None:
    cursor = FACTS["dagster_home"]["cursors"][sensor]

    understood = {str(day): entry.count for day, entry in read_cursor(cursor).items()}

    assert understood == {day: entry["count"] for day, entry in json.loads(cursor).items()}


def _states(instance: dg.DagsterInstance) -> dict[str, tuple[InstigatorStatus, object]]:
    states = instance.all_instigator_state()
    return {state.instigator_name: (state.status, state.instigator_data) for state in states}


def _dagster(*words: str) -> str:
    """Ask as a person would: the state belongs to the location and the names in it."""
    command = [sys.executable, "-W", "ignore", "-m", "dagster", *words, "-w", "workspace.yaml"]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
