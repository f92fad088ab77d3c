"""Partitions, and the beta features of Dagster that DESIGN section 6 builds on."""

from datetime import date

import dagster as dg
import pytest
from dagster._core.definitions.automation_tick_evaluation_context import (
    build_run_requests_with_backfill_policies,
)
from dagster._core.definitions.events import AssetKeyPartitionKey

from stock_platform.components.partitions import (
    calendar,
    key_of,
    session_and_slots,
    session_minutes,
    sessions,
)
from stock_platform.defs.minute_bars.assets import minute_bars
from stock_platform_tests.defs.runs import DEFS


def test_every_session_partition_is_a_session() -> None:
    keys = sessions.get_partition_keys()

    assert all(calendar().is_session(date.fromisoformat(key)) for key in keys[:-1])


def test_no_session_is_without_a_partition() -> None:
    keys = [date.fromisoformat(key) for key in sessions.get_partition_keys()]

    assert set(calendar().sessions(keys[0], keys[-1])) <= set(keys)


def test_a_key_reads_as_session_and_wall_clock_minute() -> None:
    last = sessions.get_partition_keys()[-2]

    assert f"{last}|09:40" in session_minutes.get_partition_keys()


def test_a_range_of_keys_is_a_range_of_minutes_of_one_session() -> None:
    session = sessions.get_partition_keys()[-2]

    keys = session_minutes.get_partition_keys_in_range(
        dg.PartitionKeyRange(f"{session}|09:40", f"{session}|09:50")
    )
    grid, first, last = session_and_slots(keys)

    assert (len(keys), grid.session.isoformat(), first, last) == (11, session, 10, 20)


def test_keys_of_two_sessions_are_refused_with_what_to_do() -> None:
    first, second = sessions.get_partition_keys()[-3:-1]

    with pytest.raises(dg.Failure, match="one run per session"):
        session_and_slots([f"{first}|09:40", f"{second}|09:40"])


def test_a_rectangle_becomes_one_run_per_session(instance: dg.DagsterInstance) -> None:
    days = sessions.get_partition_keys()[-4:-1]
    labels = [f"10:{minute:02d}" for minute in range(31)]
    rectangle = {
        AssetKeyPartitionKey(minute_bars.key, key_of(date.fromisoformat(day), label))
        for day in days
        for label in labels
    }

    requests = build_run_requests_with_backfill_policies(
        rectangle, DEFS.resolve_asset_graph(), instance
    )

    ranges = {
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in requests
    }
    assert ranges == {(f"{day}|10:00", f"{day}|10:30") for day in days}
