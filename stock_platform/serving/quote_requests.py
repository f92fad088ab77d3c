"""Answer quote requests: take, ask, publish, and only then delete.

Killed at any point, a request is either still in the queue or its quote is
published. Asked twice, it says the same: the minute of a request is the one it
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

_HOLDS_MAX = 20
"""A batch that takes longer than ten visibility times is given up to others."""


@dataclass(slots=True)
class Processed:
    """What became of the messages one call took; every one is in exactly one count."""

    answered: int = 0
    """Published, then deleted."""
    buried: int = 0
    """Moved to the dead letters with the reason."""
    given_back: int = 0
    """Left in the queue for another try."""
    published_rows: int = 0
    detail: str = ""
    """Why messages were given back."""


def process_requests(
    queue: QuoteQueue,
    source: QuoteSource,
    publish: Publish,
    *,
    quarantine: Quarantine,
    batches_max: int,
) -> Processed:
    """Answer what is in the queue now, ten at a time, until it is empty or the bound is met.

    Malformed requests, and symbols the provider refuses or does not know, are
    buried with the reason. What may succeed later is given back; a request that
    still has no answer after the queue's `receives_max` tries is buried too.
    Trouble that concerns every request (a wrong key, a failing publication) is
    raised, with nothing deleted.
    """
    done = Processed()
    for _ in range(batches_max):
        messages = queue.receive()
        if not messages:
            break
        batch = _Batch(queue, done, {message.id: message for message in messages})
        with _held(batch):
            _answer(batch, source, publish, quarantine)
        if done.given_back:
            # The provider is in trouble or over its limit: the next tick may fare better.
            break
    return done


@dataclass(slots=True)
class _Batch:
    """Taken messages of which nothing has become yet, and the counts they end in."""

    queue: QuoteQueue
    done: Processed
    open: dict[str, Message]

    def delete(self, messages: Sequence[Message]) -> None:
        self.queue.delete(messages)
        self.done.answered += len(self._close(messages))

    def bury(self, message: Message, reason: str) -> None:
        self.queue.bury(message, reason)
        self.done.buried += len(self._close([message]))
        log.warning("quote_request_buried", message=message.id, reason=reason)

    def give_back(self, messages: Sequence[Message], reason: str, delay_s: float | None) -> None:
        self.queue.give_back(messages, delay_s or 0.0)
        self.done.given_back += len(self._close(messages))
        self.done.detail = reason

    def _close(self, messages: Sequence[Message]) -> Sequence[Message]:
        for message in messages:
            self.open.pop(message.id, None)
        return messages


def _answer(batch: _Batch, source: QuoteSource, publish: Publish, quarantine: Quarantine) -> None:
    try:
        for minute, asked in _by_minute(_readable(batch)):
            answer = source.quotes(list(asked), minute)
            if answer.rejected.height:
                quarantine(answer.rejected)
            if answer.quotes.height:
                publish(minute.astimezone(NEW_YORK).date(), answer.quotes)
                batch.done.published_rows += answer.quotes.height
            _settle(batch, asked, answer)
    except TransientError as problem:
        batch.give_back(list(batch.open.values()), str(problem), problem.delay_s)
    except InvalidDataError as problem:
        # Rubbish instead of an answer says nothing about the symbols asked for.
        batch.give_back(list(batch.open.values()), str(problem), None)
    except PlatformError as problem:
        batch.give_back(list(batch.open.values()), str(problem), None)
        raise


def _readable(batch: _Batch) -> list[tuple[str, Message]]:
    """Bury what cannot be read as a request; return the others with their symbols."""
    readable: list[tuple[str, Message]] = []
    for message in list(batch.open.values()):
        try:
            readable.append((message.symbol(), message))
        except InvalidDataError as problem:
            batch.bury(message, f"malformed: {problem}")
    return readable


def _by_minute(
    readable: list[tuple[str, Message]],
) -> Iterator[tuple[datetime, dict[str, list[Message]]]]:
    """Group requests by minute, then by symbol: duplicates cost one question."""
    ordered = sorted(readable, key=lambda pair: (pair[1].minute, pair[0]))
    for minute, group in groupby(ordered, key=lambda pair: pair[1].minute):
        asked: dict[str, list[Message]] = {}
        for symbol, message in group:
            asked.setdefault(symbol, []).append(message)
        yield minute, asked


def _settle(batch: _Batch, asked: dict[str, list[Message]], answer: QuoteResponse) -> None:
    quoted = set(answer.quotes["symbol"])
    batch.delete([message for symbol in asked if symbol in quoted for message in asked[symbol]])
    rejected = dict(answer.rejected.select("symbol", "reason").iter_rows())
    for symbol, messages in asked.items():
        if symbol in quoted:
            continue
        reason = rejected.get(symbol) or answer.detail or "no answer"
        for message in messages:
            if symbol in answer.refused:
                batch.bury(message, f"refused by {answer.provider}: {reason}")
            elif symbol in answer.absent:
                batch.bury(message, f"unknown symbol: {answer.provider} has no quote of it")
            elif message.receives >= batch.queue.receives_max:
                batch.bury(message, f"gave up after {message.receives} tries: {reason}")
            else:
                batch.give_back([message], reason, answer.delay_s)


@contextmanager
def _held(batch: _Batch) -> Generator[None]:
    """Keep open messages from other consumers while the provider takes its time."""
    finished = threading.Event()

    def hold() -> None:
        for _ in range(_HOLDS_MAX):
            if finished.wait(batch.queue.visibility_s / 2):
                return
            try:
                batch.queue.hold(list(batch.open.values()), batch.queue.visibility_s)
            except PlatformError as problem:
                log.warning("quote_requests_not_held", problem=str(problem))

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    try:
        yield
    finally:
        finished.set()
        holder.join()
