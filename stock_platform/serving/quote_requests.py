"""Answer quote requests: receive, fetch, publish, and only then delete.

Killed at any point, a request is either still in the queue or its quote is
published. A second delivery changes nothing: the minute of a request is the one it
was sent in, and raw_quotes keeps the first quote of a symbol and minute.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

import polars as pl
import structlog

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError, PlatformError, TransientError
from stock_platform.providers.sources import QuoteResponse, QuoteSource
from stock_platform.serving.sqs import Message, QuoteQueue

log = structlog.get_logger()

Publish = Callable[[date, pl.DataFrame], object]
"""Stores the raw quotes of one session; must be safe to repeat."""
Quarantine = Callable[[pl.DataFrame], object]
"""Keeps rejected rows with their reason; must be safe to repeat."""

_EXTENSIONS_MAX = 20
"""Of a batch's visibility: after ten visibility timeouts other consumers may receive it."""


@dataclass(slots=True, kw_only=True)
class Processed:
    """The messages one call received, each in exactly one count."""

    answered: int = 0
    """Published, then deleted."""
    dead_lettered: int = 0
    """Moved to the dead-letter queue with the reason."""
    released: int = 0
    """Left in the queue for another try."""
    published_rows: int = 0
    detail: str = ""
    """Why messages were released."""


def process_requests(
    queue: QuoteQueue,
    source: QuoteSource,
    publish: Publish,
    *,
    quarantine: Quarantine,
    batches_max: int,
) -> Processed:
    """Answer what is in the queue now, ten at a time, until it is empty or the bound is met.

    Invalid requests, and symbols the provider does not serve or does not have, are
    dead-lettered with the reason. What may succeed later is released; a request that
    still has no quote after the queue's `receives_max` deliveries is dead-lettered too.
    An error that concerns every request (a wrong key, a failing publication) is
    raised, with nothing deleted.
    """
    done = Processed()
    for _ in range(batches_max):
        messages = queue.receive()
        if not messages:
            break
        batch = _Batch(queue, done, {message.id: message for message in messages})
        with _kept_invisible(batch):
            _answer(batch, source, publish, quarantine)
        if done.released:
            # The provider fails or is over its limit: the next tick may succeed.
            break
    return done


@dataclass(slots=True)
class _Batch:
    """Received messages that are not finished yet, and the counts they end in."""

    queue: QuoteQueue
    done: Processed
    open: dict[str, Message]

    def delete(self, messages: Sequence[Message]) -> None:
        self.queue.delete(messages)
        self.done.answered += len(self._close(messages))

    def dead_letter(self, message: Message, reason: str) -> None:
        self.queue.dead_letter(message, reason)
        self.done.dead_lettered += len(self._close([message]))
        log.warning("quote_request_dead_lettered", message=message.id, reason=reason)

    def release(self, messages: Sequence[Message], reason: str, delay_s: float | None) -> None:
        self.queue.release(messages, delay_s or 0.0)
        self.done.released += len(self._close(messages))
        self.done.detail = reason

    def _close(self, messages: Sequence[Message]) -> Sequence[Message]:
        for message in messages:
            self.open.pop(message.id, None)
        return messages


def _answer(batch: _Batch, source: QuoteSource, publish: Publish, quarantine: Quarantine) -> None:
    try:
        for minute, requested in _by_minute(_readable(batch)):
            response = source.quotes(list(requested), minute)
            if response.rejected.height:
                quarantine(response.rejected)
            if response.quotes.height:
                publish(minute.astimezone(NEW_YORK).date(), response.quotes)
                batch.done.published_rows += response.quotes.height
            _finish(batch, requested, response)
    except TransientError as error:
        batch.release(list(batch.open.values()), str(error), error.delay_s)
    except InvalidDataError as error:
        # A response that cannot be read proves nothing about the requested symbols.
        batch.release(list(batch.open.values()), str(error), None)
    except PlatformError as error:
        batch.release(list(batch.open.values()), str(error), None)
        raise


def _readable(batch: _Batch) -> list[tuple[str, Message]]:
    """Dead-letter what cannot be read as a request; return the others with their symbols."""
    readable: list[tuple[str, Message]] = []
    for message in list(batch.open.values()):
        try:
            readable.append((message.symbol(), message))
        except InvalidDataError as error:
            batch.dead_letter(message, f"malformed: {error}")
    return readable


def _by_minute(
    readable: list[tuple[str, Message]],
) -> Iterator[tuple[datetime, dict[str, list[Message]]]]:
    """Group requests by minute, then by symbol: duplicates cost one call."""
    ordered = sorted(readable, key=lambda pair: (pair[1].minute, pair[0]))
    for minute, group in groupby(ordered, key=lambda pair: pair[1].minute):
        requested: dict[str, list[Message]] = {}
        for symbol, message in group:
            requested.setdefault(symbol, []).append(message)
        yield minute, requested


def _finish(batch: _Batch, requested: dict[str, list[Message]], response: QuoteResponse) -> None:
    quoted, provider = set(response.quotes["symbol"]), response.provider
    batch.delete(
        [message for symbol in requested if symbol in quoted for message in requested[symbol]]
    )
    rejected = dict(response.rejected.select("symbol", "reason").iter_rows())
    for symbol, messages in requested.items():
        if symbol in quoted:
            continue
        reason = rejected.get(symbol) or response.detail or "no quote"
        for message in messages:
            if symbol in response.refused:
                batch.dead_letter(message, f"refused by {provider}: {reason}")
            elif symbol in response.absent:
                batch.dead_letter(
                    message, f"unknown symbol: {response.provider} has no quote of it"
                )
            elif message.receives >= batch.queue.receives_max:
                batch.dead_letter(
                    message, f"no quote after {message.receives} deliveries: {reason}"
                )
            else:
                batch.release([message], reason, response.delay_s)


@contextmanager
def _kept_invisible(batch: _Batch) -> Generator[None]:
    """Extend the visibility timeout of open messages while the provider is slow."""
    finished = threading.Event()

    def extend() -> None:
        for _ in range(_EXTENSIONS_MAX):
            if finished.wait(batch.queue.visibility_s / 2):
                return
            try:
                batch.queue.change_visibility(list(batch.open.values()), batch.queue.visibility_s)
            except PlatformError as error:
                log.warning("quote_visibility_not_extended", error=str(error))

    extender = threading.Thread(target=extend, daemon=True)
    extender.start()
    try:
        yield
    finally:
        finished.set()
        extender.join()
