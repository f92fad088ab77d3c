"""Start the runs that sensors and people start, without a daemon."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from stock_platform.components.partitions import key_of
from stock_platform.definitions import defs

DEFS = defs()
"""The definitions, loaded once for all tests."""
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def run_minutes(
    instance: dg.DagsterInstance,
    session: date,
    first: str,
    last: str,
    *,
    asset: str = "lake/minute_bars",
    tags: dict[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize a range of a session's minutes in one run."""
    tags = {RANGE_START: key_of(session, first), RANGE_END: key_of(session, last)} | (tags or {})
    return _run(instance, [asset], tags=tags)


def run_session(
    instance: dg.DagsterInstance, session: date, *assets: str
) -> dg.ExecuteInProcessResult:
    """Materialize session assets, as `session_settlement` asks for."""
    return _run(instance, list(assets), partition_key=session.isoformat())


def run_sessions(
    instance: dg.DagsterInstance, first: date, last: date, *assets: str
) -> dg.ExecuteInProcessResult:
    """Materialize a range of sessions in one run."""
    tags = {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
    return _run(instance, list(assets), tags=tags)


def run_unpartitioned(
    instance: dg.DagsterInstance, *assets: str, partition_key: str | None = None
) -> dg.ExecuteInProcessResult:
    """Materialize assets without partitions, or those of the partition given (a week)."""
    return _run(instance, list(assets), partition_key=partition_key)


def metadata_of(instance: dg.DagsterInstance, asset: str) -> Mapping[str, dg.MetadataValue]:
    """Return what the newest materialization of an asset shows on its page."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata


def run_request(
    instance: dg.DagsterInstance, request: dg.RunRequest, *assets: str
) -> dg.ExecuteInProcessResult:
    """Execute what a sensor asked for."""
    return _run(
        instance, list(assets), tags=dict(request.tags), partition_key=request.partition_key
    )


def _run(
    instance: dg.DagsterInstance,
    assets: list[str],
    *,
    tags: dict[str, str] | None = None,
    partition_key: str | None = None,
) -> dg.ExecuteInProcessResult:
    selection = dg.AssetSelection.assets(*(asset.split("/") for asset in assets))
    job = DEFS.get_repository_def().get_implicit_job_def_for_assets(
        [dg.AssetKey(asset.split("/")) for asset in assets]
    )
    assert job is not None, selection
    return job.execute_in_process(
        instance=instance,
        tags=tags,
        partition_key=partition_key,
        asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets],
        raise_on_error=False,
    )
