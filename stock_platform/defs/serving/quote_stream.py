"""`serving/quote_stream`: raw quotes sent to Kinesis."""

from datetime import datetime

import dagster as dg

from stock_platform.components import metadata
from stock_platform.components.failures import RETRY_A_SERVICE, no_retry_unless_transient
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.quotes.assets import OF_THE_NEWEST
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.quotes import QUOTE_KEY, RAW_QUOTES
from stock_platform.errors import PermanentError
from stock_platform.pipelines.quotes import quotes_since

STREAMED_UNTIL = "observed until"


@dg.asset(
    key=["serving", "quote_stream"],
    deps=[OF_THE_NEWEST],
    group_name="serving",
    kinds={"kinesis"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(RAW_QUOTES, QUOTE_KEY),
    retry_policy=RETRY_A_SERVICE,
)
@no_retry_unless_transient
def quote_stream(
    context: dg.AssetExecutionContext, lake: LakeResource, secrets: SecretsResource
) -> dg.MaterializeResult:
    """One record is one raw quote, sent to Kinesis at least once, in the order of observation.

    Not partitioned. Materializing sends what was observed since the last materialization;
    consumers recognise a repeat by its key (symbol, minute, provider).
    """
    from stock_platform.serving.kinesis import QuoteStream

    settings = secrets.settings()
    until = _streamed_until(context.instance)
    quotes = quotes_since(lake.store(settings), until)
    stream = QuoteStream.open(settings.serving)
    if stream is None:
        raise PermanentError("no stream is configured: set STOCKS_QUOTES_STREAM")
    sent = stream.put(quotes) if quotes.height else 0
    newest = quotes["observed_at"].max() if quotes.height else until
    known = {STREAMED_UNTIL: newest.isoformat()} if isinstance(newest, datetime) else {}
    return dg.MaterializeResult(metadata={"records sent": sent, **known})


def _streamed_until(instance: dg.DagsterInstance) -> datetime | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(["serving", "quote_stream"]))
    last = event.asset_materialization if event else None
    text = last.metadata[STREAMED_UNTIL].value if last and STREAMED_UNTIL in last.metadata else None
    return datetime.fromisoformat(str(text)) if text else None
