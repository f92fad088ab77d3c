"""`indicators/minute`, `indicators/daily`, `indicators/weekly_performance`."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import OF_THE_WEEK, sessions, week_of, weeks
from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import SETTINGS
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.assets import session_bars
from stock_platform.defs.reference.assets import splits
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.indicator import Timeframe
from stock_platform.indicators.weekly import PERFORMANCE, best_and_worst
from stock_platform.lake import read, write
from stock_platform.pipelines.indicators.selection import chosen, described
from stock_platform.pipelines.indicators.stores import indicator_store
from stock_platform.pipelines.indicators.updater import IndicatorUpdater, UpdateResult

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


def _columns(timeframe: Timeframe) -> dict[str, Any]:
    schema, descriptions = described(timeframe, SETTINGS)
    key = ("symbol", "session" if timeframe == "daily" else "minute")
    return metadata.columns(schema, key, descriptions)


@dg.asset(
    key=["indicators", "daily"],
    partitions_def=sessions,
    deps=[daily_bars, splits],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=_columns("daily"),
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
    metadata=_columns("minute"),
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
    store = lake_context.store
    updater = IndicatorUpdater(
        store=indicator_store(store, timeframe),
        indicators=chosen(timeframe, settings),
        splits=read.table(store, "splits", None),
        first=lake_context.sessions(datetime.now(UTC))[0],
    )
    done = updater.extend(date.fromisoformat(key) for key in context.partition_keys)
    if not done.sessions:
        context.log.warning("there are no bars of these sessions yet: nothing was computed")
        return dg.MaterializeResult(metadata=_of_update(done))
    return dg.MaterializeResult(metadata=_of_update(done), data_version=dg.DataVersion(done.sha256))


def _of_update(done: UpdateResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sessions computed": len(done.sessions),
        "later sessions followed": len(done.followed),
        "symbols": done.symbols,
        "rows added": done.added,
        "rows changed": done.changed,
    }
    if done.uri:
        shown |= {"dagster/row_count": done.rows, "dagster/uri": done.uri}
    return shown


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
