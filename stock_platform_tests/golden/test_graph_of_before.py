"""The graph of assets is that of the commit before the rebuild."""

from typing import Any

import pytest

from stock_platform_tests.golden.facts import FACTS


def test_the_asset_keys_are_those_of_before(graph: dict[str, Any]) -> None:
    assert sorted(graph["assets"]) == sorted(FACTS["graph"]["assets"])


@pytest.mark.parametrize("asset", FACTS["graph"]["assets"])
def test_an_asset_is_grouped_partitioned_and_wired_as_before(
    graph: dict[str, Any], asset: str
) -> None:
    assert graph["assets"][asset] == FACTS["graph"]["assets"][asset]


def test_the_asset_checks_of_before_are_all_there(graph: dict[str, Any]) -> None:
    assert [check for check in FACTS["graph"]["checks"] if check not in graph["checks"]] == []


def test_the_partitions_have_the_keys_of_before(graph: dict[str, Any]) -> None:
    assert graph["partitions"] == FACTS["graph"]["partitions"]


def test_the_jobs_are_those_of_before(graph: dict[str, Any]) -> None:
    assert graph["jobs"] == FACTS["graph"]["jobs"]


def test_the_schedules_tick_when_they_ticked_before(graph: dict[str, Any]) -> None:
    assert _ticks(graph) == _ticks(FACTS["graph"])


def _ticks(graph: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((one["cron"], one["timezone"]) for one in graph["schedules"].values())
