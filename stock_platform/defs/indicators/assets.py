"""`indicators/minute` and `indicators/daily`: carried from session to session."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import sessions
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.session_assets import session_bars
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.indicator import Timeframe
from stock_platform.indicators.splits import doubtful_splits
from stock_platform.lake import read
from stock_platform.pipelines.indicators.selection import chosen, described
from stock_platform.pipelines.indicators.stores import indicator_store
from stock_platform.pipelines.indicators.updater import IndicatorUpdater, UpdateResult
from stock_platform.settings import Settings

SHOWN_MAX = 20
SPLITS = dg.AssetKey(["reference", "splits"])


def _metadata(timeframe: Timeframe) -> dict[str, Any]:
    schema, descriptions = described(timeframe, Settings.from_env())
    key = ("symbol", "session" if timeframe == "daily" else "minute")
    return metadata.columns(schema, key, descriptions)


@dg.asset(
    key=["indicators", "daily"],
    partitions_def=sessions,
    deps=[daily_bars, SPLITS],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=_metadata("daily"),
)
def indicators_daily(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One row is one symbol's indicators on one session, in the shares of that session.

    Continues from the state kept with the session before; where there is none, from up
    to 500 bars of history. Prices are adjusted for splits first. Materializing a session
    again, after its bars were healed, also computes the later ones as far as anything in
    them changes; where nothing does, nothing is written. A range is one run.
    """
    return _extended(context, lake, "daily")


@dg.asset(
    key=["indicators", "minute"],
    partitions_def=sessions,
    deps=[session_bars, SPLITS],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="indicators",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=_metadata("minute"),
)
def indicators_minute(
    context: dg.AssetExecutionContext, lake: LakeResource
) -> dg.MaterializeResult:
    """One row is one symbol's indicators at one minute that has a bar.

    Minutes run on from session to session (only the session's VWAP starts anew), carried
    by the state kept with the session before, with up to five sessions of bars to look
    back on. Materializing a healed session again also computes the later ones as far as
    anything in them changes. A range is one run.
    """
    return _extended(context, lake, "minute")


def _extended(
    context: dg.AssetExecutionContext, lake: LakeResource, timeframe: Timeframe
) -> dg.MaterializeResult:
    lake_context = lake.context()
    store = lake_context.store
    with no_retry_unless_transient():
        chain = IndicatorUpdater(
            store=indicator_store(store, timeframe),
            indicators=chosen(timeframe, Settings.from_env()),
            splits=read.table(store, "splits", None),
            first=lake_context.sessions(datetime.now(UTC))[0],
        )
        done = chain.extend(date.fromisoformat(key) for key in context.partition_keys)
    if not done.sessions:
        context.log.warning("there are no bars of these sessions yet: nothing was computed")
        return dg.MaterializeResult(metadata=_told(done))
    return dg.MaterializeResult(metadata=_told(done), data_version=dg.DataVersion(done.sha256))


def _told(done: UpdateResult) -> dict[str, Any]:
    told: dict[str, Any] = {
        "sessions computed": len(done.sessions),
        "later sessions followed": len(done.followed),
        "symbols": done.symbols,
        "rows added": done.added,
        "rows changed": done.changed,
    }
    if done.uri:
        told |= {"dagster/row_count": done.rows, "dagster/uri": done.uri}
    return told


@dg.asset_check(asset=indicators_daily, partitions_def=sessions)
def splits_explain_the_prices(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """A split executed on the session makes the adjusted return an ordinary one.

    When it does not, the vendor's bars were adjusted already or the split is of another
    symbol, and every average over that day is wrong.
    """
    days, store = sorted(date.fromisoformat(key) for key in context.partition_keys), lake.store()
    splits = read.table(store, "splits", None)
    today = splits.filter(pl.col("executed_on").is_in(days))
    if not today.height:
        return dg.AssetCheckResult(passed=True, description="no split on this session")
    concerned = pl.col("symbol").is_in(today["symbol"].implode()) & (pl.col("session") <= days[-1])
    bars = read.daily_bars(store, days[0].year - 1, days[-1].year).filter(concerned)
    doubtful = doubtful_splits(bars, splits, as_of=days[-1]).join(
        today, on=["symbol", "executed_on"], how="semi"
    )
    records = [
        dg.TableRecord({name: str(value) for name, value in row.items()})
        for row in doubtful.head(SHOWN_MAX).iter_rows(named=True)
    ]
    return dg.AssetCheckResult(
        passed=not doubtful.height,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{doubtful.height} of {today.height} splits do not fit the prices",
        metadata={"splits": dg.MetadataValue.table(records)} if records else {},
    )
