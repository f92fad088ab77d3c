"""Quotes: poll the running minute, rebuild passed ones from bars, and find what a sink lacks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.aggregate import rebuild
from stock_platform.lake import append_log, read, tables, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Log
from stock_platform.providers.fallback import quotes_in_turn
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import QuoteResponse
from stock_platform.settings import ServingSettings, Settings

FRESH = timedelta(minutes=2)
"""A minute this young is polled; an older one is rebuilt from its bars."""

NO_QUOTES = (
    "no provider of quotes is configured: set MASSIVE_API_KEY, FINNHUB_API_KEY or RAPIDAPI_KEY"
)

NO_AWS = "set STOCKS_AWS_ACCESS_KEY and STOCKS_AWS_SECRET_KEY, or STOCKS_AWS_ENDPOINT"
SESSIONS_SENT_MAX = 2
"""Sessions looked at for quotes not streamed yet; what is older is in the lake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """What one run did: the responses polled, the minutes rebuilt, what was published."""

    polled: list[QuoteResponse]
    rebuilt: int
    rejected: int
    published: Published | None


def poll_quotes(
    lake_context: LakeContext,
    open_providers: Callable[[], AbstractContextManager[Providers]],
    grid: MinuteGrid,
    slots: range,
    *,
    now: datetime,
    log: Log,
) -> PollResult:
    """Poll the newest of `slots` if it is fresh and rebuild the others from their bars.

    Raise `TransientError` or `PermanentError` when a minute is to be polled and every
    provider fails; see `providers.fallback.combined_error`.
    """
    expected = lake_context.universe(grid.session)
    minutes = [grid.minute(slot) for slot in slots if grid.minute(slot) <= now]
    running = [minute for minute in minutes[-1:] if now - minute <= FRESH]
    polled: list[QuoteResponse] = []
    if running:
        with open_providers() as providers:
            polled = _poll(providers, expected, running[0], log)
    past = [minute for minute in minutes if minute not in running]
    frames = [response.quotes for response in polled] + list(
        _rebuilt(lake_context, grid, past, now)
    )
    rejected = sum(
        append_log.record_rejected(lake_context.store, response.rejected) for response in polled
    )
    published = None
    if frames:
        published = write.publish_quotes(lake_context.store, grid.session, pl.concat(frames))
    return PollResult(polled=polled, rebuilt=len(past), rejected=rejected, published=published)


def _poll(
    providers: Providers, symbols: list[str], minute: datetime, log: Log
) -> list[QuoteResponse]:
    """Request the quotes of a minute that passes only once: no provider hides the next."""
    if not symbols:
        return []
    attempted = quotes_in_turn(
        providers.quotes,
        symbols,
        minute,
        on_failure=lambda source, error: log(f"{source.name}: {error}"),
    )
    attempted.raise_without_response(NO_QUOTES)
    return attempted.responses


def _rebuilt(
    lake_context: LakeContext, grid: MinuteGrid, minutes: list[datetime], now: datetime
) -> Iterator[pl.DataFrame]:
    if not minutes:
        return
    bars = read.minute_bars(lake_context.store, grid.session)
    held = read.raw_quotes(lake_context.store, grid.session)
    for minute in minutes:
        have = held.filter(pl.col("minute") == minute).select("symbol")
        yield rebuild(bars, minute, now).join(have, on="symbol", how="anti")


def wants_latest_quotes(settings: Settings) -> bool:
    """Return whether DynamoDB is to be kept up to date."""
    wanted = settings.automation.serve_latest_quotes
    return _has_aws(settings.serving) if wanted is None else wanted


def wants_quote_stream(settings: Settings) -> bool:
    """Return whether raw quotes go to Kinesis."""
    return bool(settings.serving.quotes_stream)


def wants_quote_requests(settings: Settings) -> bool:
    """Return whether the queue of requests is used."""
    wanted = settings.automation.quote_requests
    return _has_aws(settings.serving) if wanted is None else wanted


def _has_aws(settings: ServingSettings) -> bool:
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
    and consumers recognise repeats by their key.
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
