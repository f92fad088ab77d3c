"""The stores fed with quotes beside the lake: whether they are wanted, and what is new for them.

Nothing here knows Dagster.
"""

from datetime import UTC, datetime

import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.lake import read, tables
from stock_platform.lake.object_store import ObjectStore
from stock_platform.settings import AutomationSettings, ServingSettings, load

NO_AWS = "set STOCKS_AWS_ACCESS_KEY and STOCKS_AWS_SECRET_KEY, or STOCKS_AWS_ENDPOINT"
SESSIONS_SENT_MAX = 2
"""Sessions looked at for quotes not streamed yet; what is older is in the lake."""


def wants_latest_quotes() -> bool:
    """Return whether DynamoDB is to be kept up to date."""
    wanted = load(AutomationSettings).serve_latest_quotes
    return _has_aws() if wanted is None else wanted


def wants_quote_stream() -> bool:
    """Return whether raw quotes go to Kinesis."""
    return bool(load(ServingSettings).quotes_stream)


def wants_quote_requests() -> bool:
    """Return whether the queue of requests is used."""
    wanted = load(AutomationSettings).quote_requests
    return _has_aws() if wanted is None else wanted


def _has_aws() -> bool:
    settings = load(ServingSettings)
    return bool(settings.aws_endpoint or settings.aws_access_key.get_secret_value())


def newest_quotes(store: ObjectStore) -> pl.DataFrame:
    """Return the raw quotes of the newest session that has any."""
    sessions = sorted(read.sessions_present(store, "raw_quotes"))
    if not sessions:
        return pl.DataFrame(schema=RAW_QUOTES)
    return read.raw_quotes(store, sessions[-1])


def quotes_since(store: ObjectStore, instant: datetime | None) -> pl.DataFrame:
    """Return the quotes observed at or after an instant (None: all), of the newest sessions.

    At the instant itself too: a second quote may have come in the same microsecond,
    and consumers tell repeats by their key.
    """
    since = instant or datetime.min.replace(tzinfo=UTC)
    sessions = sorted(read.sessions_present(store, "raw_quotes"))[-SESSIONS_SENT_MAX:]
    found = [read.raw_quotes(store, session) for session in sessions]
    rows = pl.concat([pl.DataFrame(schema=RAW_QUOTES), *found])
    return rows.filter(pl.col("observed_at") >= since).sort("observed_at")


def version_of_quotes(store: ObjectStore) -> str:
    """Return a text that changes with every publication of quotes; empty without any."""
    sessions = sorted(read.sessions_present(store, "raw_quotes"))
    if not sessions:
        return ""
    entries = store.list(tables.folder("raw_quotes", sessions[-1]))
    return " ".join([f"{sessions[-1]}", *(str(entry.version) for entry in entries)])
