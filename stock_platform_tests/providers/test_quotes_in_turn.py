"""Several sources of quotes asked in turn: everybody gets a chance, each symbol one verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl
import pytest

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.domain.rejections import REJECTED
from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.providers.fallback import FallbackQuoteSource
from stock_platform.providers.sources import QuoteResponse
from stock_platform_tests.serving.made_quotes import made_quote

MINUTE = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@dataclass
class Source:
    """Gives quotes of `knows`; says of the others what it is told to."""

    name: str
    knows: str = ""
    refuses: str = ""
    fails: str = ""
    rejects: str = ""
    trouble: PlatformError | None = None
    delay_s: float | None = None
    asked: list[list[str]] = field(default_factory=list)

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        self.asked.append(list(symbols))
        if self.trouble:
            raise self.trouble
        known = [
            made_quote(s, minute=minute, provider=self.name) for s in symbols if s in self.knows
        ]
        said = self.knows + self.refuses + self.fails + self.rejects
        return QuoteResponse(
            provider=self.name,
            minute=minute,
            asked_at=minute,
            quotes=pl.concat([pl.DataFrame(schema=RAW_QUOTES), *known]),
            rejected=_rejected([s for s in symbols if s in self.rejects]),
            refused=tuple(s for s in symbols if s in self.refuses),
            failed=tuple(s for s in symbols if s in self.fails),
            absent=tuple(s for s in symbols if s not in said),
            delay_s=self.delay_s,
        )


def _rejected(symbols: list[str]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=REJECTED)
    return pl.concat([empty, pl.DataFrame({"symbol": symbols})], how="diagonal_relaxed")


def ask(*sources: Source, symbols: str = "AB") -> QuoteResponse:
    return FallbackQuoteSource(sources).quotes(list(symbols), MINUTE)


def test_the_next_source_is_asked_only_for_what_is_left() -> None:
    first, second = Source("one", knows="A"), Source("two", knows="AB")

    response = ask(first, second)

    assert second.asked == [["B"]]
    assert dict(response.quotes.select("symbol", "provider").iter_rows()) == {
        "A": "one",
        "B": "two",
    }
    assert (response.absent, response.refused, response.failed) == ((), (), ())


def test_a_source_that_gives_everything_leaves_the_others_alone() -> None:
    second = Source("two")

    response = ask(Source("one", knows="AB"), second)

    assert (response.provider, second.asked) == ("one", [])


def test_a_source_in_trouble_does_not_hide_the_next() -> None:
    response = ask(Source("one", trouble=PermanentError("wrong key")), Source("two", knows="AB"))

    assert sorted(response.quotes["symbol"]) == ["A", "B"]


def test_what_a_source_in_trouble_might_have_is_not_called_unknown() -> None:
    response = ask(
        Source("one", trouble=TransientError("busy", delay_s=7.0)), Source("two", knows="A")
    )

    assert (response.failed, response.absent, response.delay_s) == (("B",), (), 7.0)
    assert response.detail == "one: busy"


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ({}, {}, "absent"),
        ({"refuses": "B"}, {}, "refused"),
        ({}, {"refuses": "B"}, "refused"),
        ({"refuses": "B"}, {"fails": "B"}, "failed"),
        ({"fails": "B"}, {"refuses": "B"}, "failed"),
        ({"rejects": "B"}, {}, "rejected"),
    ],
)
def test_a_symbol_nobody_gives_has_one_verdict(first: dict, second: dict, verdict: str) -> None:
    response = ask(Source("one", knows="A", **first), Source("two", **second))

    found = {
        "absent": response.absent,
        "refused": response.refused,
        "failed": response.failed,
        "rejected": tuple(response.rejected["symbol"]),
    }
    assert {name for name, symbols in found.items() if symbols} == {verdict}
    assert found[verdict] == ("B",)


def test_only_when_every_source_is_in_trouble_is_it_raised_and_what_passes_first() -> None:
    with pytest.raises(TransientError, match="busy"):
        ask(
            Source("one", trouble=PermanentError("wrong key")),
            Source("two", trouble=TransientError("busy")),
        )
