"""A session beside the provider's record: every bar compared, nothing written."""

from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl
import pytest

from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PermanentError, TransientError
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.verify.certificate import Certificate
from stock_platform.pipelines.verify.provider_record import ProviderRecord
from stock_platform.pipelines.verify.verifier import Verifier
from stock_platform.providers.registry import Providers
from stock_platform_tests.healing.responses import response
from stock_platform_tests.pipelines.settled import SESSION, TRADED, settle

CHANGED, ABSENT, EXTRA = ("AAPL", 5), ("MSFT", 1), ("AAPL", 7)
RECORD = [cell for cell in TRADED if cell != EXTRA] + [ABSENT]
"""What the vendor holds, beside TRADED in the lake."""


def with_change(answer: ProviderResponse, grid: MinuteGrid, *, vwap: bool = True) -> None:
    here = (pl.col("symbol") == CHANGED[0]) & (pl.col("minute") == grid.minute(CHANGED[1]))
    bars = answer.bars.with_columns(
        close=pl.when(here).then(pl.col("high")).otherwise("close"),
        vwap=pl.col("vwap") if vwap else pl.lit(None),
    )
    object.__setattr__(answer, "bars", bars.cast(answer.bars.schema))


@dataclass
class Rest:
    """A vendor that answers by symbol."""

    grid: MinuteGrid
    down: tuple[str, ...] = ()
    last: int = 389
    broken: tuple[tuple[str, int], ...] = ()
    name: str = "rest"
    asked: list[str] = field(default_factory=list)

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        self.asked.append(symbol)
        if symbol in self.down:
            raise TransientError("HTTP 503")
        cells = [c for c in RECORD if c[0] == symbol and c[1] <= self.last and c not in self.broken]
        broken = [cell for cell in self.broken if cell[0] == symbol]
        answer = response(
            (symbol,), slots=(0, self.last), bars=cells, broken=broken, grid=self.grid
        )
        with_change(answer, self.grid)
        return answer


@dataclass
class File:
    """A vendor with one file a session, without VWAP and with symbols nobody expects."""

    grid: MinuteGrid
    published: bool = True
    name: str = "file"

    def fingerprint(self, session: date) -> str | None:
        return "etag" if self.published else None

    def session_minute_bars(self, session: date, grid: MinuteGrid) -> ProviderResponse:
        answer = response(None, bars=[*RECORD, ("ZZZ", 0)], revision=Revision.FINAL, grid=grid)
        with_change(answer, grid, vwap=False)
        return answer


def compared(lake: LakeContext, rest: Rest | None, file: File | None = None) -> Certificate:
    found = Providers(minute=[rest] if rest else [], session=[file] if file else [])
    return Verifier(context=lake, record=ProviderRecord(found, 2)).verify(SESSION)


@pytest.fixture
def grid(on_disk: LakeContext) -> MinuteGrid:
    settle(on_disk)
    return on_disk.calendar.grid(SESSION)


def test_every_bar_is_compared_by_symbol(on_disk: LakeContext, grid: MinuteGrid) -> None:
    certificate = compared(on_disk, Rest(grid))
    record = certificate.record

    assert record is not None
    assert (record.provider, record.equal, record.changed) == ("rest", len(TRADED) - 2, 1)
    assert (record.absent, record.extra, record.unanswered) == (1, 1, ())
    assert record.differing == (("AAPL", 1, 0, 1), ("MSFT", 0, 1, 0))
    assert (certificate.ok, certificate.defects) == (False, ())


def test_the_file_is_preferred_and_its_other_symbols_left_out(
    on_disk: LakeContext, grid: MinuteGrid
) -> None:
    rest = Rest(grid)
    record = compared(on_disk, rest, File(grid)).record

    assert record is not None
    assert (record.provider, record.equal, record.changed) == ("file", len(TRADED) - 2, 1)
    assert (record.absent, record.extra, rest.asked) == (1, 1, [])


def test_without_a_published_file_each_symbol_is_requested(
    on_disk: LakeContext, grid: MinuteGrid
) -> None:
    rest = Rest(grid)
    record = compared(on_disk, rest, File(grid, published=False)).record

    assert record is not None
    assert (record.provider, sorted(rest.asked)) == ("rest", ["AAPL", "MSFT"])


def test_a_symbol_without_an_answer_is_named_and_not_compared(
    on_disk: LakeContext, grid: MinuteGrid
) -> None:
    certificate = compared(on_disk, Rest(grid, down=("AAPL",)))
    record = certificate.record

    assert record is not None
    assert (record.unanswered, record.differing) == (("AAPL",), (("MSFT", 0, 1, 0),))
    assert not certificate.ok


def test_minutes_beyond_the_answer_and_those_rejected_are_left_out(
    on_disk: LakeContext, grid: MinuteGrid
) -> None:
    record = compared(on_disk, Rest(grid, last=6, broken=(CHANGED, ABSENT))).record

    assert record is not None
    # AAPL's slots 0 to 6 without the rejected one, and MSFT's slot 0.
    assert (record.equal, record.changed, record.absent, record.extra) == (7, 0, 0, 0)
    assert record.same


def test_comparing_writes_nothing(on_disk: LakeContext, grid: MinuteGrid) -> None:
    before = on_disk.store.list("")
    compared(on_disk, Rest(grid), File(grid))

    assert on_disk.store.list("") == before


def test_a_comparison_needs_a_provider(on_disk: LakeContext, grid: MinuteGrid) -> None:
    with pytest.raises(PermanentError, match="no provider of minute bars is configured"):
        compared(on_disk, None)
