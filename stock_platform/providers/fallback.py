"""Several sources of quotes as one: what one does not give is asked of the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import structlog

from stock_platform.errors import PlatformError, TransientError
from stock_platform.providers.sources import QuoteResponse, QuoteSource

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FallbackQuoteSource:
    """A `QuoteSource` over others, the preferred one first.

    A source in trouble does not hide the next; only when every source asked is in trouble
    is that raised, preferably a trouble that passes. A symbol nobody gives has failed if
    it may yet come from somewhere, else it is refused if anybody refused it, else absent.
    """

    sources: Sequence[QuoteSource]

    @property
    def name(self) -> str:
        return ", ".join(source.name for source in self.sources)

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Ask in turn until every symbol has its quote."""
        responses, troubles = list[QuoteResponse](), list[tuple[str, PlatformError]]()
        left = list(symbols)
        for source in self.sources:
            try:
                response = source.quotes(left, minute)
            except PlatformError as problem:
                log.warning("quote_source_in_trouble", provider=source.name, problem=str(problem))
                troubles.append((source.name, problem))
                continue
            responses.append(response)
            given = set(response.quotes["symbol"])
            left = [symbol for symbol in left if symbol not in given]
            if not left:
                break
        if not responses:
            raise next((p for _, p in troubles if isinstance(p, TransientError)), troubles[0][1])
        return (
            _joined(responses, troubles, left)
            if len(responses) + len(troubles) > 1
            else responses[0]
        )


def _joined(
    responses: Sequence[QuoteResponse],
    troubles: Sequence[tuple[str, PlatformError]],
    left: Sequence[str],
) -> QuoteResponse:
    """Return one answer in which every symbol asked for is in one place."""
    rejected = pl.concat([response.rejected for response in responses])
    refused = {symbol for response in responses for symbol in response.refused}
    failed = {symbol for response in responses for symbol in response.failed}
    open_still = [symbol for symbol in left if symbol not in set(rejected["symbol"])]
    may_come = [symbol for symbol in open_still if troubles or symbol in failed]
    final = [symbol for symbol in open_still if symbol not in may_come]
    return QuoteResponse(
        ", ".join(response.provider for response in responses),
        responses[0].minute,
        responses[0].asked_at,
        quotes=pl.concat([response.quotes for response in responses]),
        rejected=rejected,
        refused=tuple(symbol for symbol in final if symbol in refused),
        absent=tuple(symbol for symbol in final if symbol not in refused),
        failed=tuple(may_come),
        delay_s=min(_delays(responses, troubles), default=None),
        detail="; ".join(
            [f"{name}: {problem}" for name, problem in troubles]
            + [response.detail for response in responses if response.detail]
        ),
    )


def _delays(
    responses: Sequence[QuoteResponse], troubles: Sequence[tuple[str, PlatformError]]
) -> Iterator[float]:
    named = [response.delay_s for response in responses]
    named += [problem.delay_s for _, problem in troubles if isinstance(problem, TransientError)]
    return (delay_s for delay_s in named if delay_s is not None)
