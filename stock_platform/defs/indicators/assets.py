"""`indicators/minute`, `indicators/daily`, `indicators/weekly_performance`."""

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.indicator_set import columns_of, extended
from stock_platform.components.partitions import OF_THE_WEEK, sessions, week_of, weeks
from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import SETTINGS
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.assets import session_bars
from stock_platform.defs.reference.assets import splits
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.indicator import Timeframe
from stock_platform.indicators.weekly import PERFORMANCE, best_and_worst
from stock_platform.lake import write
from stock_platform.pipelines.indicators.selection import chosen, described
from stock_platform.pipelines.indicators.stores import indicator_store

WEEKLY_KEY = ("symbol", "week")
WEEKLY_COLUMNS = {
    "week": "its Monday",
    "open": "first open of the week, US dollars in the shares of its last session",
    "high": "highest of the week, likewise",
    "low": "lowest of the week, likewise",
    "close": "last close of the week, likewise",
    "volume": "shares of the week, likewise",
    "return_pct": "(close / open - 1) * 100; null without a bar in the week",
    "range_pct": "(high - low) / open * 100",
    "sessions": "sessions with a bar",
    "sessions_expected": "sessions the exchange held",
}


@dg.asset(
    key=["indicators", "daily"],
    partitions_def=sessions,
    deps=[daily_bars, splits],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=columns_of("daily", *described("daily", SETTINGS)),
)
@no_retry_unless_transient
def indicators_daily(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One row is one symbol's indicators on one session, in the shares of that session.

    A partition is a session. Continues from the state kept with the session before;
    where there is none, from up to 500 bars of history. Prices are adjusted for splits
    first. Materializing a session again, after its bars were healed, also computes the
    later ones as far as anything in them changes; where nothing does, nothing is
    written. A range is one run.
    """
    return _extended(context, lake, "daily")


@dg.asset(
    key=["indicators", "minute"],
    partitions_def=sessions,
    deps=[session_bars, splits],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=columns_of("minute", *described("minute", SETTINGS)),
)
@no_retry_unless_transient
def indicators_minute(
    context: dg.AssetExecutionContext, lake: LakeResource
) -> dg.MaterializeResult:
    """One row is one symbol's indicators at one minute that has a bar.

    A partition is a session. Minutes run on from session to session (only the session's
    VWAP starts anew), from the state kept with the session before, with up to five
    sessions of bars to look back on. Materializing a healed session again also computes
    the later ones as far as anything in them changes. A range is one run.
    """
    return _extended(context, lake, "minute")


def _extended(
    context: dg.AssetExecutionContext, lake: LakeResource, timeframe: Timeframe
) -> dg.MaterializeResult:
    settings = SecretsResource().settings()
    lake_context = lake.context(settings)
    store = indicator_store(lake_context.store, timeframe)
    return extended(context, lake_context, store, indicators=chosen(timeframe, settings))


@dg.asset(
    key=["indicators", "weekly_performance"],
    partitions_def=weeks,
    deps=[dg.AssetDep(daily_bars, partition_mapping=OF_THE_WEEK), splits],
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(PERFORMANCE, WEEKLY_KEY, WEEKLY_COLUMNS),
)
@no_retry_unless_transient
def weekly_performance(
    context: dg.AssetExecutionContext, lake: LakeResource
) -> dg.MaterializeResult:
    """One row is one symbol's week: return from first open to last close, range from low to high.

    A partition is a week, named by its Monday; the running week holds the sessions so
    far. Materializing again replaces the week. One object holds a year.
    """
    # Charts and templates come with it: only a run of this asset needs them.
    from stock_platform.pipelines.weekly_report import compute_performance

    week, lake_context = week_of(context), lake.context()
    rows = compute_performance(lake_context, week)
    published = write.publish_table(
        lake_context.store, "weekly_performance", week.monday.year, rows, key=WEEKLY_KEY
    )
    movers = best_and_worst(rows)
    named = {"best": movers[0], "worst": movers[1]} if movers else {}
    return dg.MaterializeResult(
        metadata=metadata.of_publication(published)
        | {name: f"{mover.symbol} {mover.return_pct:+.1f}%" for name, mover in named.items()}
        | {"symbols without a bar": rows.height - rows["return_pct"].count()}
    )
