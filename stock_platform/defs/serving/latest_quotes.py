"""`serving/latest_quotes`: the newest quote of each symbol in DynamoDB."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from stock_platform.components import metadata
from stock_platform.components.failures import RETRY_A_SERVICE, no_retry_unless_transient
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.quotes.assets import OF_THE_NEWEST
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.pipelines.quotes import newest_quotes

_ITEM = pl.Schema(
    {
        "symbol": pl.String(),
        **dict.fromkeys(("price", "high", "low"), RAW_QUOTES["price"]),
        **dict.fromkeys(("minute", "quoted_at"), RAW_QUOTES["minute"]),
        **dict.fromkeys(("provider", "inserted_date", "inserted_time"), pl.String()),
    }
)


@dg.asset(
    key=["serving", "latest_quotes"],
    deps=[OF_THE_NEWEST],
    group_name="serving",
    kinds={"dynamodb"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(_ITEM, ("symbol",)),
    retry_policy=RETRY_A_SERVICE,
)
@no_retry_unless_transient
def latest_quotes(lake: LakeResource, secrets: SecretsResource) -> dg.MaterializeResult:
    """One item is the newest quote of one symbol: price, high, low, when it was inserted.

    Not partitioned. An older quote never replaces a newer one, in whatever order runs
    come; materializing again writes nothing and keeps the time of insertion.
    """
    from stock_platform.serving.dynamodb import LatestQuotes

    settings = secrets.settings()
    quotes = newest_quotes(lake.store(settings))
    done = LatestQuotes.open(settings.serving).write(quotes, datetime.now(UTC))
    return dg.MaterializeResult(
        metadata={
            "items written": done.written,
            "quotes not newer": done.stale,
            "quotes from the future": done.ahead,
        }
    )
