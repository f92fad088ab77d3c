"""`ingest/raw_quotes`: one polled quote per symbol and minute."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import session_and_slots, session_minutes
from stock_platform.defs.reference.assets import symbols
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.quotes import QUOTE_KEY, RAW_QUOTES
from stock_platform.pipelines.quotes import poll_quotes


@dg.asset(
    key=["ingest", "raw_quotes"],
    partitions_def=session_minutes,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="ingest",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(RAW_QUOTES, QUOTE_KEY),
    deps=[symbols],
    pool="provider_rest",
)
@no_retry_unless_transient
def raw_quotes(
    context: dg.AssetExecutionContext, lake: LakeResource, providers: ProvidersResource
) -> None:
    """One row is one quote of a symbol, stamped with the minute it was requested for.

    A partition is one minute of one session (New York wall clock). The running minute is
    polled from the first configured provider that answers. A past minute cannot be polled
    any more: its quotes are rebuilt from the session's bars (provider `minute_bars`). Of
    one key the first observation stays, so materializing again adds only what is absent.
    """
    grid, first, last = session_and_slots(context.partition_keys)
    taken = poll_quotes(
        lake.context(),
        providers.open,
        grid,
        range(first, last + 1),
        now=datetime.now(UTC),
        log=context.log.warning,
    )
    shown: dict[str, Any] = {
        "rows rejected": taken.rejected,
        "minutes rebuilt from bars": taken.rebuilt,
    }
    context.add_asset_metadata(
        shown | (metadata.of_publication(taken.published) if taken.published else {})
    )
    for response in taken.polled:
        if response.refused or response.failed:
            context.log.warning(
                f"{response.provider}: {len(response.refused)} symbols refused, "
                f"{len(response.failed)} failed: {response.detail}"
            )


# Which minutes are new is found in the lake; a mapping of every minute ever would be noise.
OF_THE_NEWEST = dg.AssetDep(raw_quotes, partition_mapping=dg.LastPartitionMapping())
