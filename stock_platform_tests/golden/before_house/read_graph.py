"""Read what a Dagster user sees of the definitions, through Dagster's public API.

`graph(defs)` takes a `dg.Definitions`, or what makes one: a function, or the
lazy object that `@dg.definitions` gives. The result is plain JSON.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

START = "2026-11-16"
"""The first session while the snapshot is taken, so that partition keys do not move."""
AT = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
"""Partition keys are counted as of this instant."""
PINNED = {"STOCKS_FIRST_SESSION": START, "STOCKS_LAST_SESSION": "2026-11-20"}
FIRST_KEYS = 5


def graph(defs: Any) -> dict[str, Any]:
    """Describe assets, checks, partitions, jobs, sensors, schedules and resources."""
    found = made(defs)
    nodes = list(found.resolve_asset_graph().asset_nodes)
    repository = found.get_repository_def()
    return {
        "assets": {_text(node.key): _asset(node) for node in sorted(nodes, key=_key_of)},
        "checks": _checks(found),
        "partitions": _partitions(nodes),
        "jobs": sorted(job.name for job in repository.get_all_jobs() if job.name[:2] != "__"),
        "sensors": {s.name: _sensor(s) for s in _sorted(repository.sensor_defs)},
        "schedules": {s.name: _schedule(s) for s in _sorted(repository.schedule_defs)},
        "resources": sorted(repository.get_top_level_resources()),
    }


def load(name: str = "stock_platform.definitions", attribute: str = "defs") -> Any:
    """Import the definitions with the first session pinned."""
    os.environ.update(PINNED)
    return getattr(importlib.import_module(name), attribute)


def made(defs: Any) -> dg.Definitions:
    """Return the definitions, also of a function or lazy object that makes them."""
    for _ in range(3):
        if isinstance(defs, dg.Definitions):
            return defs
        load_defs: Callable[[], Any] | None = getattr(defs, "load_fn", None)
        defs = load_defs() if load_defs else defs()
    raise TypeError(f"neither definitions nor a function that makes them: {defs!r}")


def _asset(node: Any) -> dict[str, Any]:
    condition = node.automation_condition
    return {
        "group": node.group_name,
        "kinds": sorted(node.kinds),
        "owners": sorted(node.owners),
        "is_external": node.is_external,
        "is_materializable": node.is_materializable,
        "deps": sorted(_text(key) for key in node.parent_keys),
        "partitions": _partitions_name(node.partitions_def),
        "partition_mappings": {
            _text(key): type(mapping).__name__
            for key, mapping in sorted(node.partition_mappings.items(), key=lambda i: _text(i[0]))
        },
        "backfill_policy": _policy(node.backfill_policy),
        "automation_condition": condition.get_label() or str(condition) if condition else None,
        "pools": sorted(node.pools or ()),
        "code_version": node.code_version,
    }


def _checks(defs: dg.Definitions) -> list[dict[str, Any]]:
    graph = defs.resolve_asset_graph()
    found = [
        {
            "asset": _text(key.asset_key),
            "name": key.name,
            "blocking": bool(graph.get(key).blocking),
        }
        for key in graph.asset_check_keys
    ]
    return sorted(found, key=lambda check: (check["asset"], check["name"]))


def _partitions(nodes: Iterable[Any]) -> dict[str, Any]:
    known = {
        _partitions_name(node.partitions_def) or "": node.partitions_def
        for node in nodes
        if node.partitions_def is not None
    }
    return {name: _definition(known[name]) for name in sorted(known)}


def _definition(definition: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": type(definition).__name__}
    if isinstance(definition, dg.MultiPartitionsDefinition):
        dimensions = definition.partitions_defs
        described["dimensions"] = {d.name: _definition(d.partitions_def) for d in dimensions}
        described["first_keys"] = _first(definition)
        return described
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        described |= {
            "start": definition.start.isoformat(),
            "end": definition.end.isoformat() if definition.end else None,
            "timezone": definition.timezone,
            "format": definition.fmt,
            "cron": definition.cron_schedule,
            "end_offset": definition.end_offset,
            "exclusions": len(definition.exclusions or []),
        }
    else:
        keys = list(definition.get_partition_keys())
        described |= {"keys": len(keys), "last_key": keys[-1] if keys else None}
    described["first_keys"] = _first(definition)
    return described


def _first(definition: Any) -> list[str]:
    return list(definition.get_partition_keys(current_time=AT))[:FIRST_KEYS]


def _partitions_name(definition: Any) -> str | None:
    """Name a definition by what it is, not by who made it."""
    if definition is None:
        return None
    if isinstance(definition, dg.MultiPartitionsDefinition):
        parts = sorted(
            f"{d.name}: {_partitions_name(d.partitions_def)}" for d in definition.partitions_defs
        )
        return f"multi({'; '.join(parts)})"
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return f"time({definition.cron_schedule} {definition.timezone} {definition.fmt})"
    return f"{type(definition).__name__}({len(definition.get_partition_keys())})"


def _policy(policy: Any) -> dict[str, Any] | None:
    if policy is None:
        return None
    return {
        "type": policy.policy_type.name,
        "max_partitions_per_run": policy.max_partitions_per_run,
    }


def _sensor(sensor: Any) -> dict[str, Any]:
    return {"default_status": sensor.default_status.name, "kind": sensor.sensor_type.name}


def _schedule(schedule: Any) -> dict[str, Any]:
    return {
        "cron": schedule.cron_schedule,
        "timezone": schedule.execution_timezone,
        "default_status": schedule.default_status.name,
        "job": schedule.job_name if schedule.has_job else None,
    }


def _sorted(named: Iterable[Any]) -> list[Any]:
    return sorted(named, key=lambda one: one.name)


def _key_of(node: Any) -> str:
    return _text(node.key)


def _text(key: dg.AssetKey) -> str:
    return key.to_user_string()


if __name__ == "__main__":
    module, _, name = (sys.argv[1] if sys.argv[1:] else "").partition(":")
    print(json.dumps(graph(load(module or "stock_platform.definitions", name or "defs")), indent=1))
