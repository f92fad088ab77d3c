"""What the commit before the rebuild wrote, and the facts noted of it."""

import hashlib
import json
from pathlib import Path

import dagster as dg

from stock_platform import definitions
from stock_platform.components.renamed import NEW_NAMES
from stock_platform_tests.golden.before_house.read_graph import made

GOLDEN = Path(__file__).parent / "before_house"
FACTS = {
    name: json.loads((GOLDEN / f"{name}.json").read_text())
    for name in ("graph", "contents", "expected", "dagster_home", "journal", "old_env")
}


def name_now(sensor_or_schedule: str) -> str:
    """Return what a sensor or schedule of then is called now."""
    return NEW_NAMES.get(sensor_or_schedule, sensor_or_schedule)


def materialize(asset: str, partition: str) -> dg.ExecuteInProcessResult:
    key = dg.AssetKey(asset.split("/"))
    job = made(definitions.defs).get_repository_def().get_implicit_job_def_for_assets([key])
    assert job is not None
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance, partition_key=partition, asset_selection=[key], raise_on_error=False
        )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
