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
from stock_platform.pipelines.context import Knowledge
from stock_platform.pipelines.heal import Log
from stock_platform.pipelines.universe import expected_symbols
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import QuoteAnswer

FRESH = timedelta(minutes=2)
"""A minute this young is polled; an older one is rebuilt from its bars."""

NO_QUOTES = (
    "no provider of quotes is configured: set MASSIVE_API_KEY, FINNHUB_API_KEY or RAPIDAPI_KEY"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken: the answers polled, the minutes rebuilt, what was published."""

    polled: list[QuoteAnswer]
    rebuilt: int
    rejected: int
    published: Published | None


def take_quotes(
    knowledge: Knowledge,
    open_providers: Callable[[], AbstractContextManager[Providers]],
    grid: MinuteGrid,
    slots: range,
    *,
    now: datetime,
    log: Log,
) -> Taken:
    """Poll the newest of `slots` if it is fresh and rebuild the others from their bars.

    Raises `Permanent` when a minute is to be polled and no provider gives anything.
    """
    expected = expected_symbols(knowledge.store, grid.session, knowledge.market)
    minutes = [grid.minute(slot) for slot in slots if grid.minute(slot) <= now]
    running = [minute for minute in minutes[-1:] if now - minute <= FRESH]
    polled: list[QuoteAnswer] = []
    if running:
        with open_providers() as providers:
            polled = list(_poll(providers, expected, running[0], log))
    past = [minute for minute in minutes if minute not in running]
    frames = [answer.quotes for answer in polled] + list(_rebuilt(knowledge, grid, past, now))
    rejected = sum(quarantine.keep(knowledge.store, answer.rejected) for answer in polled)
    published = None
    if frames:
        published = write.publish_quotes(knowledge.store, grid.session, pl.concat(frames))
    return Taken(polled, len(past), rejected, published)


def _poll(
    providers: Providers, symbols: list[str], minute: datetime, log: Log
) -> Iterator[QuoteAnswer]:
    """Ask the providers in turn for the symbols the ones before did not give.

    A minute passes only once: one provider in trouble must not hide the next, and
    only when all of them are does the run fail.
    """
    left, troubles = symbols, list[str]()
    for source in providers.quotes:
        if not left:
            return
        try:
            answer = source.quotes(left, minute)
        except PlatformError as problem:
            troubles.append(f"{source.name}: {problem}")
            log(troubles[-1])
            continue
        yield answer
        given = set(answer.quotes["symbol"])
        left = [symbol for symbol in left if symbol not in given]
    if len(troubles) == len(providers.quotes):
        raise PermanentError("; ".join(troubles) or NO_QUOTES)


def _rebuilt(
    knowledge: Knowledge, grid: MinuteGrid, minutes: list[datetime], now: datetime
) -> Iterator[pl.DataFrame]:
    if not minutes:
        return
    bars = read.minute_bars(knowledge.store, grid.session)
    held = read.raw_quotes(knowledge.store, grid.session)
    for minute in minutes:
        have = held.filter(pl.col("minute") == minute).select("symbol")
        yield rebuild(bars, minute, now).join(have, on="symbol", how="anti")
