"""`reference/*`: listed symbols as of a date, splits and dividends."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from stock_platform.components import metadata
from stock_platform.components.partitions import NEW_YORK
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.reference import (
    DIVIDENDS,
    DIVIDENDS_KEY,
    SPLITS,
    SPLITS_KEY,
    SYMBOLS,
    SYMBOLS_KEY,
)
from stock_platform.errors import PermanentError
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.reference import (
    actions_span,
    reference_source,
    take_snapshots,
    update_dividends,
    update_splits,
)
from stock_platform.providers.registry import NOT_CONFIGURED, Providers, is_configured
from stock_platform.providers.sources import ReferenceSource


def _asset_of(schema: pl.Schema, key: tuple[str, ...], name: str) -> dict[str, Any]:
    return {
        "key": ["reference", name],
        "group_name": "reference",
        "kinds": {"polars", "parquet"},
        "owners": metadata.OWNERS,
        "metadata": metadata.columns(schema, key),
        "pool": "provider_rest",
    }


@dg.asset(**_asset_of(SYMBOLS, SYMBOLS_KEY, "symbols"))
def symbols(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a symbol listed on the day a snapshot was taken.

    Materializing takes a snapshot of the newest session, and once one of the first
    session of the history, so that delisted symbols are expected where they traded.
    """
    lake_context = lake.context()
    sessions = lake_context.sessions(datetime.now(UTC))
    with providers.open() as opened:
        taken = take_snapshots(lake_context, _source(opened), [sessions[0], sessions[-1]])
    newest = taken[-1]
    return dg.MaterializeResult(
        metadata=metadata.of_publication(newest) | {"snapshots taken": len(taken)}
    )


@dg.asset(**_asset_of(SPLITS, SPLITS_KEY, "splits"))
def splits(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a split: `split_from` old shares became `split_to` new ones.

    Prices in the lake stay as traded; the adjusted views of SQL are computed from this.
    """
    lake_context = lake.context()
    first, last = _actions_span(lake_context)
    with providers.open() as opened:
        published = update_splits(lake_context, _source(opened), first, last)
    return dg.MaterializeResult(metadata=metadata.of_publication(published))


@dg.asset(**_asset_of(DIVIDENDS, DIVIDENDS_KEY, "dividends"))
def dividends(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a cash dividend, per share as declared."""
    lake_context = lake.context()
    first, last = _actions_span(lake_context)
    with providers.open() as opened:
        published = update_dividends(lake_context, _source(opened), first, last)
    return dg.MaterializeResult(metadata=metadata.of_publication(published))


reference_job = dg.define_asset_job(
    "reference_data", selection=dg.AssetSelection.groups("reference")
)


@dg.schedule(
    job=reference_job,
    cron_schedule="0 8 * * 1-5",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def reference_schedule() -> dg.RunRequest | dg.SkipReason:
    """Reference data before the open of every weekday."""
    return dg.RunRequest() if is_configured() else dg.SkipReason(NOT_CONFIGURED)


@dg.sensor(
    job=reference_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def missing_reference_data(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.RunRequest | dg.SkipReason:
    """A new lake: fetch reference data at once instead of tomorrow morning."""
    if not is_configured():
        return dg.SkipReason(NOT_CONFIGURED)
    if read.sessions_present(lake.store(), "reference_symbols"):
        return dg.SkipReason("reference data is there; every_morning keeps it fresh")
    # One try an hour: without a key this cannot succeed, and a run says so clearly.
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    return dg.RunRequest(run_key=f"reference_data:{hour}")


def _actions_span(lake_context: LakeContext) -> tuple[date, date]:
    now = datetime.now(UTC)
    first, _ = lake_context.market.span(now.astimezone(NEW_YORK).date())
    return actions_span(first, now)


def _source(providers: Providers) -> ReferenceSource:
    try:
        return reference_source(providers)
    except PermanentError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
