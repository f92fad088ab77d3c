"""Several sources of the same data: where one fails, the next one is requested.

One rule for minute bars, daily bars and quotes: a failing source never hides the
next, and only when none of them responded is there an error. That error is
transient as soon as one of the failures may pass.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import polars as pl
import structlog

from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.sources import QuoteResponse, QuoteSource

log = structlog.get_logger()


class Named(Protocol):
    """What has a provider's name."""

    @property
    def name(self) -> str: ...


Source = TypeVar("Source", bound=Named)
Response = TypeVar("Response")


@dataclass(frozen=True, slots=True)
class Attempted(Generic[Response]):
    """The responses of the sources that were requested, and the failures by source name."""

    responses: list[Response] = field(default_factory=list[Response])
    failures: list[tuple[str, PlatformError]] = field(
        default_factory=list[tuple[str, PlatformError]]
    )

    def raise_without_response(self, nothing_configured: str) -> None:
        """Raise what `combined_error` makes of the failures, when nothing responded."""
        if not self.responses:
            raise combined_error(self.failures, nothing_configured)


def first_success(
    sources: Iterable[Source],
    request: Callable[[Source], Response],
    *,
    complete: Callable[[Response], bool] = lambda response: True,
    on_failure: Callable[[Source, PlatformError], None] = lambda source, error: None,
) -> Attempted[Response]:
    """Request from the sources in their order until a response is `complete`.

    By default the first response is. A source that raises a `PlatformError` is recorded,
    given to `on_failure` at once, and followed by the next; nothing is raised here:

        attempted = first_success(sources, lambda source: source.daily_bars(session))
        attempted.raise_without_response("no provider of daily bars is configured")
    """
    attempted: Attempted[Response] = Attempted()
    for source in sources:
        try:
            response = request(source)
        except PlatformError as error:
            attempted.failures.append((source.name, error))
            on_failure(source, error)
            continue
        attempted.responses.append(response)
        if complete(response):
            break
    return attempted


def combined_error(
    failures: Sequence[tuple[str, PlatformError]], nothing_configured: str = "no source"
) -> PlatformError:
    """Return one error for the failures of all sources.

    Transient, after the shortest delay named, if any of them may pass; else the kind that
    all of them are, or permanent. Without any failure there was no source: permanent.
    """
    message = "; ".join(f"{name}: {error}" for name, error in failures) or nothing_configured
    passing = [error for _, error in failures if isinstance(error, TransientError)]
    if passing:
        delays = [error.delay_s for error in passing if error.delay_s is not None]
        return TransientError(message, delay_s=min(delays, default=None))
    for kind in (NotEntitledError, InvalidDataError):
        if failures and all(isinstance(error, kind) for _, error in failures):
            return kind(message)
    return PermanentError(message)


def quotes_in_turn(
    sources: Iterable[QuoteSource],
    symbols: Sequence[str],
    minute: datetime,
    *,
    on_failure: Callable[[QuoteSource, PlatformError], None],
) -> Attempted[QuoteResponse]:
    """Request the quotes of `symbols`, from each source those that the ones before did not give."""
    left = list(symbols)

    def is_complete(response: QuoteResponse) -> bool:
        nonlocal left
        given = set(response.quotes["symbol"])
        left = [symbol for symbol in left if symbol not in given]
        return not left

    return first_success(
        sources,
        lambda source: source.quotes(left, minute),
        complete=is_complete,
        on_failure=on_failure,
    )


@dataclass(frozen=True, slots=True)
class FallbackQuoteSource:
    """A `QuoteSource` over others, the preferred one first.

    A symbol that no source gives has failed if it may yet come from somewhere, else it
    is refused if any source refused it, else absent.
    """

    sources: Sequence[QuoteSource]

    @property
    def name(self) -> str:
        return ", ".join(source.name for source in self.sources)

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Request from the sources in turn until every symbol has its quote."""
        attempted = quotes_in_turn(self.sources, symbols, minute, on_failure=_log_failure)
        attempted.raise_without_response("no source of quotes")
        if len(attempted.responses) + len(attempted.failures) == 1:
            return attempted.responses[0]
        return _joined(attempted.responses, attempted.failures, symbols)


def _log_failure(source: QuoteSource, error: PlatformError) -> None:
    log.warning("quote_source_failed", provider=source.name, error=str(error))


def _joined(
    responses: Sequence[QuoteResponse],
    failures: Sequence[tuple[str, PlatformError]],
    symbols: Sequence[str],
) -> QuoteResponse:
    """Return one response in which every requested symbol is in one place."""
    quotes = pl.concat([response.quotes for response in responses])
    rejected = pl.concat([response.rejected for response in responses])
    placed = {*quotes["symbol"], *rejected["symbol"]}
    refused = {symbol for response in responses for symbol in response.refused}
    failed = {symbol for response in responses for symbol in response.failed}
    unplaced = [symbol for symbol in symbols if symbol not in placed]
    may_come = [symbol for symbol in unplaced if failures or symbol in failed]
    final = [symbol for symbol in unplaced if symbol not in may_come]
    return QuoteResponse(
        provider=", ".join(response.provider for response in responses),
        minute=responses[0].minute,
        asked_at=responses[0].asked_at,
        quotes=quotes,
        rejected=rejected,
        refused=tuple(symbol for symbol in final if symbol in refused),
        absent=tuple(symbol for symbol in final if symbol not in refused),
        failed=tuple(may_come),
        delay_s=min(_delays(responses, failures), default=None),
        detail="; ".join(
            [f"{name}: {error}" for name, error in failures]
            + [response.detail for response in responses if response.detail]
        ),
    )


def _delays(
    responses: Sequence[QuoteResponse], failures: Sequence[tuple[str, PlatformError]]
) -> Iterator[float]:
    named = [response.delay_s for response in responses]
    named += [error.delay_s for _, error in failures if isinstance(error, TransientError)]
    return (delay_s for delay_s in named if delay_s is not None)
