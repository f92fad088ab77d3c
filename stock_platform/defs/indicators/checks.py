"""What should be true of the prices that indicators are computed from."""

import dagster as dg
import polars as pl

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.metadata import rows_table, sessions_of
from stock_platform.components.partitions import sessions
from stock_platform.defs.indicators.assets import indicators_daily
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.splits import doubtful_splits
from stock_platform.lake import read


@dg.asset_check(asset=indicators_daily, partitions_def=sessions)
@no_retry_unless_transient
def splits_explain_the_prices(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """A split executed on the session makes the adjusted return an ordinary one.

    When it does not, the vendor's bars were adjusted already or the split is of another
    symbol, and every average over that day is wrong.
    """
    days, store = sessions_of(context), lake.store()
    splits = read.table(store, "splits", None)
    today = splits.filter(pl.col("executed_on").is_in(days))
    if not today.height:
        return dg.AssetCheckResult(passed=True, description="no split on this session")
    concerned = pl.col("symbol").is_in(today["symbol"].implode()) & (pl.col("session") <= days[-1])
    bars = read.daily_bars(store, days[0].year - 1, days[-1].year).filter(concerned)
    doubtful = doubtful_splits(bars, splits, as_of=days[-1]).join(
        today, on=["symbol", "executed_on"], how="semi"
    )
    return dg.AssetCheckResult(
        passed=not doubtful.height,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{doubtful.height} of {today.height} splits do not fit the prices",
        metadata={"splits": rows_table(doubtful)} if doubtful.height else {},
    )
