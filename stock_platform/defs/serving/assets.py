"""`serving/stock_data`, `serving/latest_quotes`, `serving/quote_stream`: copies for others.

Clients of Postgres and AWS are loaded by the runs that use them: together they would
double the time in which the definitions load, and every run starts with that.
"""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from stock_platform.components import metadata
from stock_platform.components.failures import LATER, no_retry_unless_transient
from stock_platform.components.partitions import sessions
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.sensors import INTERVAL_S
from stock_platform.defs.quotes.assets import raw_quotes
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.quotes import QUOTE_KEY, RAW_QUOTES
from stock_platform.pipelines.quotes import (
    NO_AWS,
    newest_quotes,
    quotes_since,
    version_of_quotes,
    wants_latest_quotes,
    wants_quote_stream,
)
from stock_platform.serving.postgres.rows import STOCK_DATA
from stock_platform.settings import PostgresSettings, ServingSettings, Settings, load

STREAMED_UNTIL = "observed until"
SPLITS = dg.AssetKey(["reference", "splits"])
FIGURES = {
    "date": "session of XNYS",
    "volatility": "(high - low) / close * 100, percent",
    "rolling_avg": "mean of this close and the four before it; null until there are five",
    "daily_pct_change": "against the previous close, percent; null for a symbol's first",
}
_ITEM = pl.Schema(
    {
        "symbol": pl.String(),
        **dict.fromkeys(("price", "high", "low"), RAW_QUOTES["price"]),
        **dict.fromkeys(("minute", "quoted_at"), RAW_QUOTES["minute"]),
        **dict.fromkeys(("provider", "inserted_date", "inserted_time"), pl.String()),
    }
)
# Which minutes are new is found in the lake; a mapping of every minute ever would be noise.
OF_THE_NEWEST = dg.AssetDep(raw_quotes, partition_mapping=dg.LastPartitionMapping())


@dg.asset(
    key=["serving", "stock_data"],
    partitions_def=sessions,
    deps=[daily_bars, SPLITS],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="serving",
    kinds={"postgres"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(STOCK_DATA, ("symbol", "date"), FIGURES),
    retry_policy=LATER,
)
def stock_data(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One row is one symbol on one session, in Postgres (SQLite where none is configured).

    Decimals are exact. Only rows that are new or differ are written, so materializing
    again writes nothing; the four sessions after a healed one are corrected with it.
    A range of sessions is one run.
    """
    from stock_platform.serving.postgres.refresh import refresh_stock_data
    from stock_platform.serving.postgres.store import open_stock_data

    days = sorted(date.fromisoformat(key) for key in context.partition_keys)
    settings = load(PostgresSettings)
    with no_retry_unless_transient(), open_stock_data(settings) as opened:
        done = refresh_stock_data(lake.store(), opened, days[0], days[-1])
    where = "Postgres" if settings.postgres_url.get_secret_value() else "SQLite"
    return dg.MaterializeResult(
        metadata={
            "store": where,
            "rows inserted": done.inserted,
            "rows updated": done.updated,
            "rows unchanged": done.unchanged,
        }
    )


@dg.asset(
    key=["serving", "latest_quotes"],
    deps=[OF_THE_NEWEST],
    group_name="serving",
    kinds={"dynamodb"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(_ITEM, ("symbol",)),
    retry_policy=LATER,
)
def latest_quotes(lake: LakeResource) -> dg.MaterializeResult:
    """One item is the newest quote of one symbol: price, high, low, when it was inserted.

    An older quote never replaces a newer one, in whatever order runs come; materializing
    again writes nothing and keeps the time of insertion.
    """
    from stock_platform.serving.dynamodb import LatestQuotes

    quotes = newest_quotes(lake.store())
    with no_retry_unless_transient():
        done = LatestQuotes.open(load(ServingSettings)).write(quotes, datetime.now(UTC))
    return dg.MaterializeResult(
        metadata={
            "items written": done.written,
            "quotes not newer": done.stale,
            "quotes from the future": done.ahead,
        }
    )


@dg.asset(
    key=["serving", "quote_stream"],
    deps=[OF_THE_NEWEST],
    group_name="serving",
    kinds={"kinesis"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(RAW_QUOTES, QUOTE_KEY),
    retry_policy=LATER,
)
def quote_stream(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One record is one raw quote, sent to Kinesis at least once, in the order of observation.

    Sends what was observed since the last materialization. A repeat is told by (symbol,
    minute, provider).
    """
    from stock_platform.serving.kinesis import QuoteStream

    until = _streamed_until(context.instance)
    quotes = quotes_since(lake.store(), until)
    with no_retry_unless_transient():
        stream = QuoteStream.open(load(ServingSettings))
        if stream is None:
            raise dg.Failure("no stream is configured: set STOCKS_QUOTES_STREAM")
        sent = stream.put(quotes) if quotes.height else 0
    newest = quotes["observed_at"].max() if quotes.height else until
    known = {STREAMED_UNTIL: newest.isoformat()} if isinstance(newest, datetime) else {}
    return dg.MaterializeResult(metadata={"records sent": sent, **known})


def _streamed_until(instance: dg.DagsterInstance) -> datetime | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(["serving", "quote_stream"]))
    told = event.asset_materialization if event else None
    text = told.metadata[STREAMED_UNTIL].value if told and STREAMED_UNTIL in told.metadata else None
    return datetime.fromisoformat(str(text)) if text else None


@dg.sensor(
    target=[latest_quotes, quote_stream],
    minimum_interval_seconds=INTERVAL_S * 2,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def quote_targets(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Quotes published since the last tick: DynamoDB and Kinesis follow, where configured."""
    settings = Settings.from_env()
    wanted = [
        asset.key
        for asset, is_wanted in (
            (latest_quotes, wants_latest_quotes(settings)),
            (quote_stream, wants_quote_stream(settings)),
        )
        if is_wanted
    ]
    if not wanted:
        return dg.SkipReason(f"neither DynamoDB nor Kinesis is configured: {NO_AWS}")
    version = version_of_quotes(lake.store())
    if version == (context.cursor or ""):
        return dg.SkipReason("no quote was published since the last time")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"quotes:{version}", asset_selection=wanted)],
        cursor=version,
    )
