"""`reference/*`: listed symbols as of a date, splits and dividends."""

from datetime import UTC, date, datetime

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.reference import (
    DIVIDENDS,
    DIVIDENDS_KEY,
    SPLITS,
    SPLITS_KEY,
    SYMBOLS,
    SYMBOLS_KEY,
)
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.reference import (
    actions_span,
    reference_source,
    take_snapshots,
    update_dividends,
    update_splits,
)


@dg.asset(
    key=["reference", "symbols"],
    group_name="reference",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(SYMBOLS, SYMBOLS_KEY),
    pool="provider_rest",
)
@no_retry_unless_transient
def symbols(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a symbol listed on the day a snapshot was taken.

    Not partitioned: the lake keeps one snapshot per day (column `as_of`). Materializing
    takes a snapshot of the newest session, and once one of the first session of the
    history, so that delisted symbols are expected where they traded; for the whole
    market also between two that differ. The tables `securities` and `symbol_spans` are
    derived from all of them. Repeating it replaces the newest snapshot.
    """
    lake_context = lake.context()
    sessions = lake_context.sessions(datetime.now(UTC))
    with providers.open() as opened:
        ends = [sessions[0], sessions[-1]]
        taken = take_snapshots(lake_context, reference_source(opened), ends)
    newest = taken[-1]
    return dg.MaterializeResult(
        metadata=metadata.of_publication(newest) | {"snapshots taken": len(taken)}
    )


@dg.asset(
    key=["reference", "splits"],
    group_name="reference",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(SPLITS, SPLITS_KEY),
    pool="provider_rest",
)
@no_retry_unless_transient
def splits(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a split: `split_from` old shares became `split_to` new ones.

    Not partitioned. Materializing fetches every split since 400 days before the first
    session and merges it into the table; repeating it changes nothing. Prices in the
    lake stay as traded: the adjusted views of SQL are computed from this table.
    """
    lake_context = lake.context()
    first, last = _actions_span(lake_context)
    with providers.open() as opened:
        published = update_splits(lake_context, reference_source(opened), first, last)
    return dg.MaterializeResult(metadata=metadata.of_publication(published))


@dg.asset(
    key=["reference", "dividends"],
    group_name="reference",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(DIVIDENDS, DIVIDENDS_KEY),
    pool="provider_rest",
)
@no_retry_unless_transient
def dividends(lake: LakeResource, providers: ProvidersResource) -> dg.MaterializeResult:
    """One row is a cash dividend, per share as declared.

    Not partitioned. Materializing fetches every dividend since 400 days before the
    first session and merges it into the table; repeating it changes nothing.
    """
    lake_context = lake.context()
    first, last = _actions_span(lake_context)
    with providers.open() as opened:
        published = update_dividends(lake_context, reference_source(opened), first, last)
    return dg.MaterializeResult(metadata=metadata.of_publication(published))


def _actions_span(lake_context: LakeContext) -> tuple[date, date]:
    now = datetime.now(UTC)
    first, _ = lake_context.market.span(now.astimezone(NEW_YORK).date())
    return actions_span(first, now)
