"""What only grows is kept within its bound."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_platform.defs.operations.retention import delete_runs, prune_history
from stock_platform.defs.resources import LakeResource
from stock_platform.pipelines.context import LakeContext
from stock_platform_tests.defs.runs import run_minutes


def test_runs_beyond_the_bound_are_deleted(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    run_minutes(instance, two_sessions[1], "10:00", "10:00")

    deleted = delete_runs(instance, before=datetime.now(UTC) + timedelta(minutes=1))

    assert deleted == 1
    assert instance.get_runs() == []


def test_runs_within_the_bound_stay(
    instance: dg.DagsterInstance, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    run_minutes(instance, two_sessions[1], "10:00", "10:00")

    deleted = delete_runs(instance, before=datetime.now(UTC) - timedelta(days=400))

    assert (deleted, len(instance.get_runs())) == (0, 1)


def test_the_nightly_job_runs(instance: dg.DagsterInstance, lake: LakeResource) -> None:
    result = prune_history.execute_in_process(instance=instance, resources={"lake": lake})

    assert result.success
