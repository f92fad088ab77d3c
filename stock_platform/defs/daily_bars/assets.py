"""`lake/daily_bars`: OHLCV of each session, with vendors' holes filled from a second source."""

from datetime import date

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import sessions
from stock_platform.defs.minute_bars.assets import session_bars
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.bars import DAILY_BARS
from stock_platform.pipelines.daily_bars import DailyBarIngest


@dg.asset(
    key=["lake", "daily_bars"],
    partitions_def=sessions,
    deps=[session_bars],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(DAILY_BARS, ("symbol", "session")),
    pool="provider_rest",
)
@no_retry_unless_transient
def daily_bars(
    context: dg.AssetExecutionContext, lake: LakeResource, providers: ProvidersResource
) -> None:
    """One row is one symbol's session: prices of regular hours, volume of all hours.

    First made from the session's minute bars, then replaced by the provider's own
    daily row; what the first provider does not have is requested from the next one. One
    object holds a year. Materializing again asks only for what is still absent.
    """
    days = sorted(date.fromisoformat(key) for key in context.partition_keys)
    with providers.open() as opened:
        filled = DailyBarIngest(
            context=lake.context(), sources=opened.daily, log=context.log.info
        ).fill(days)
    context.add_asset_metadata(
        {
            "dagster/row_count": filled.rows,
            "rows expected": filled.expected,
            "rows without a provider": filled.absent,
            "provider calls": filled.calls,
            "rows rejected": filled.rejected,
            "bars of symbols not expected": filled.unexpected,
        }
    )
