"""What should be true of daily bars, checked with every materialization."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.metadata import passed_without, sessions_of
from stock_platform.components.partitions import calendar, sessions
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.assets import session_bars
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.revision import FROM_MINUTES
from stock_platform.healing.anomalies import (
    invalid_ohlc,
    minute_volume_above_daily,
    unexplained_jumps,
)
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore

LOOKED_BACK = 10
"""Sessions among which the close before is looked for: a symbol may not trade every day."""


@dg.asset_check(asset=daily_bars, partitions_def=sessions, additional_deps=[session_bars])
@no_retry_unless_transient
def minute_volumes_add_up_to_the_day(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """The minutes of a session never trade more than its daily bar."""
    store, sessions_run = lake.store(), sessions_of(context)
    days = _days(store, sessions_run).filter(pl.col("provider") != FROM_MINUTES)
    over = [
        minute_volume_above_daily(
            read.minute_bars(store, session), days.filter(pl.col("session") == session)
        )
        for session in sessions_run
    ]
    return passed_without(
        pl.concat(over), "symbols trade more in minutes than on the day", dg.AssetCheckSeverity.WARN
    )


@dg.asset_check(asset=daily_bars, partitions_def=sessions)
@no_retry_unless_transient
def jumps_have_a_split(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """A close far from the one before has a split as its reason, and a split shows in the close."""
    store, sessions_run = lake.store(), sessions_of(context)
    first, last = calendar().previous(sessions_run[0], LOOKED_BACK), sessions_run[-1]
    days = read.daily_bars(store, first.year, last.year)
    days = days.filter(pl.col("session").is_between(first, last))
    found = unexplained_jumps(days, read.table(store, "splits", None))
    jumped = found.filter(pl.col("session").is_in(sessions_run))
    return passed_without(
        jumped,
        "closes do not follow from the day before and its splits",
        dg.AssetCheckSeverity.WARN,
    )


@dg.asset_check(asset=daily_bars, blocking=True, partitions_def=sessions)
@no_retry_unless_transient
def daily_prices_are_in_order(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """low <= open, close <= high in every daily bar of the session."""
    days = _days(lake.store(), sessions_of(context))
    return passed_without(invalid_ohlc(days), "daily bars with low <= open, close <= high violated")


def _days(store: ObjectStore, days: Sequence[date]) -> pl.DataFrame:
    rows = read.daily_bars(store, days[0].year, days[-1].year)
    return rows.filter(pl.col("session").is_in(days)).select(list(DAILY_BARS))
