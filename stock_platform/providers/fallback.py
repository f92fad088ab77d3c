"""Several sources of quotes as one: what one does not give is asked of the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import structlog

from stock_platform.errors import PlatformError, TransientError
from stock_platform.providers.sources import QuoteAnswer, QuoteSource

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QuotesInTurn:
    """A `QuoteSource` over others, the preferred one first.

    A source in trouble does not hide the next; only when every source asked is in trouble
    is that raised, preferably a trouble that passes. A symbol nobody gives has failed if
    it may yet come from somewhere, else it is refused if anybody refused it, else absent.
    """

    sources: Sequence[QuoteSource]

    @property
    def name(self) -> str:
        return ", ".join(source.name for source in self.sources)

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteAnswer:
        """Ask in turn until every symbol has its quote."""
        answers, troubles = list[QuoteAnswer](), list[tuple[str, PlatformError]]()
        left = list(symbols)
        for source in self.sources:
            try:
                answer = source.quotes(left, minute)
            except PlatformError as problem:
                log.warning("quote_source_in_trouble", provider=source.name, problem=str(problem))
                troubles.append((source.name, problem))
                continue
            answers.append(answer)
            given = set(answer.quotes["symbol"])
            left = [symbol for symbol in left if symbol not in given]
            if not left:
                break
        if not answers:
            raise next((p for _, p in troubles if isinstance(p, TransientError)), troubles[0][1])
        return _joined(answers, troubles, left) if len(answers) + len(troubles) > 1 else answers[0]


def _joined(
    answers: Sequence[QuoteAnswer],
    troubles: Sequence[tuple[str, PlatformError]],
    left: Sequence[str],
) -> QuoteAnswer:
    """Give one answer in which every symbol asked for is in one place."""
    rejected = pl.concat([answer.rejected for answer in answers])
    refused = {symbol for answer in answers for symbol in answer.refused}
    failed = {symbol for answer in answers for symbol in answer.failed}
    open_still = [symbol for symbol in left if symbol not in set(rejected["symbol"])]
    may_come = [symbol for symbol in open_still if troubles or symbol in failed]
    final = [symbol for symbol in open_still if symbol not in may_come]
    return QuoteAnswer(
        ", ".join(answer.provider for answer in answers),
        answers[0].minute,
        answers[0].asked_at,
        quotes=pl.concat([answer.quotes for answer in answers]),
        rejected=rejected,
        refused=tuple(symbol for symbol in final if symbol in refused),
        absent=tuple(symbol for symbol in final if symbol not in refused),
        failed=tuple(may_come),
        delay_s=min(_delays(answers, troubles), default=None),
        detail="; ".join(
            [f"{name}: {problem}" for name, problem in troubles]
            + [answer.detail for answer in answers if answer.detail]
        ),
    )


def _delays(
    answers: Sequence[QuoteAnswer], troubles: Sequence[tuple[str, PlatformError]]
) -> Iterator[float]:
    named = [answer.delay_s for answer in answers]
    named += [problem.delay_s for _, problem in troubles if isinstance(problem, TransientError)]
    return (delay_s for delay_s in named if delay_s is not None)
