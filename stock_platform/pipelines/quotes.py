"""Take the quotes of minutes: poll the running one, rebuild those that have passed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.healing.quotes import rebuild
from stock_platform.lake import quarantine, read, write
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Log
from stock_platform.pipelines.universe import universe_on
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import QuoteResponse

FRESH = timedelta(minutes=2)
"""A minute this young is polled; an older one is rebuilt from its bars."""

NO_QUOTES = (
    "no provider of quotes is configured: set MASSIVE_API_KEY, FINNHUB_API_KEY or RAPIDAPI_KEY"
)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What was taken: the answers polled, the minutes rebuilt, what was published."""

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

    Raises `Permanent` when a minute is to be polled and no provider gives anything.
    """
    expected = universe_on(lake_context.store, grid.session, lake_context.market)
    minutes = [grid.minute(slot) for slot in slots if grid.minute(slot) <= now]
    running = [minute for minute in minutes[-1:] if now - minute <= FRESH]
    polled: list[QuoteResponse] = []
    if running:
        with open_providers() as providers:
            polled = list(_poll(providers, expected, running[0], log))
    past = [minute for minute in minutes if minute not in running]
    frames = [response.quotes for response in polled] + list(
        _rebuilt(lake_context, grid, past, now)
    )
    rejected = sum(quarantine.keep(lake_context.store, response.rejected) for response in polled)
    published = None
    if frames:
        published = write.publish_quotes(lake_context.store, grid.session, pl.concat(frames))
    return PollResult(polled, len(past), rejected, published)


def _poll(
    providers: Providers, symbols: list[str], minute: datetime, log: Log
) -> Iterator[QuoteResponse]:
    """Ask the providers in turn for the symbols the ones before did not give.

    A minute passes only once: one provider in trouble must not hide the next, and
    only when all of them are does the run fail.
    """
    left, troubles = symbols, list[str]()
    for source in providers.quotes:
        if not left:
            return
        try:
            response = source.quotes(left, minute)
        except PlatformError as problem:
            troubles.append(f"{source.name}: {problem}")
            log(troubles[-1])
            continue
        yield response
        given = set(response.quotes["symbol"])
        left = [symbol for symbol in left if symbol not in given]
    if len(troubles) == len(providers.quotes):
        raise PermanentError("; ".join(troubles) or NO_QUOTES)


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
