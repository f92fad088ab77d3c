"""The universe of the whole market is known densely enough for every session."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.reference import SYMBOLS
from stock_platform.errors import InvalidDataError
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines import reference
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import unlisted_symbols
from stock_platform.pipelines.reference import take_snapshots
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.pipelines.test_corporate_actions import Vendor

FIRST, LAST = date(2026, 3, 2), date(2026, 11, 20)


class Listing(Vendor):
    """A vendor that lists a symbol from one day until before another."""

    def __init__(self, listed: dict[str, tuple[date, date | None]]) -> None:
        super().__init__()
        self.listed = listed
        self.asked: list[date] = []

    def lists(self, symbol: str, on: date) -> bool:
        since, until = self.listed[symbol]
        return since <= on and (until is None or on < until)

    def symbols(self, on: date) -> pl.DataFrame:
        self.asked.append(on)
        rows = [
            dict.fromkeys(SYMBOLS) | {"symbol": symbol, "provider": self.name, "as_of": on}
            for symbol in self.listed
            if self.lists(symbol, on)
        ]
        return pl.DataFrame(rows, schema=SYMBOLS)


OLD = {"OLD": (date(1990, 1, 2), None)}
RENAMED = OLD | {
    "FB": (date(2012, 5, 18), date(2026, 6, 9)),
    "META": (date(2026, 6, 9), None),
    "IPO": (date(2026, 9, 1), None),
    "GONE": (date(2000, 1, 3), date(2026, 4, 15)),
}


@pytest.fixture
def whole_market(tmp_path: Path) -> LakeContext:
    market = MarketSettings(symbols=None, first_session=FIRST, last_session=LAST)
    return LakeContext(FileStore.open(tmp_path), market, HealingSettings())


def test_a_symbol_is_expected_on_exactly_the_sessions_it_was_listed(
    whole_market: LakeContext,
) -> None:
    vendor = Listing(RENAMED)
    sessions = whole_market.calendar.sessions(FIRST, LAST)

    take_snapshots(whole_market, vendor, [FIRST, LAST])

    expected = {day: whole_market.universe(day) for day in sessions}
    assert expected == {
        day: sorted(symbol for symbol in RENAMED if vendor.lists(symbol, day)) for day in sessions
    }
    assert len(vendor.asked) < 40


def test_neighbours_that_agree_are_not_asked_about(whole_market: LakeContext) -> None:
    vendor = Listing(dict(OLD))

    take_snapshots(whole_market, vendor, [FIRST, LAST])

    assert vendor.asked == [FIRST, LAST]


def test_a_call_takes_a_bounded_number_and_the_next_goes_on(
    whole_market: LakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "SNAPSHOTS_MAX", 5)
    vendor = Listing(RENAMED)

    taken = [len(take_snapshots(whole_market, vendor, [FIRST, LAST])) for _ in range(8)]

    assert taken[0] == 7
    assert taken[-1] == 1
    assert "META" in whole_market.universe(date(2026, 6, 9))


def many(number: int) -> dict[str, tuple[date, date | None]]:
    return {f"S{n}": (date(1990, 1, 2), None) for n in range(number)}


@pytest.mark.parametrize("left", [0, 11])
def test_a_list_of_hardly_anybody_is_refused_with_its_numbers(
    whole_market: LakeContext, left: int
) -> None:
    take_snapshots(whole_market, Listing(many(40)), [FIRST, LAST])

    with pytest.raises(InvalidDataError, match=rf"lists {left} symbols on 2026-11-20, 40 on"):
        take_snapshots(whole_market, Listing(many(left)), [FIRST, LAST])

    assert len(whole_market.universe(LAST)) == 40


@pytest.mark.parametrize(
    ("written", "meant"),
    [("BRK-B", "BRK.B"), ("aapl", "AAPL"), ("GOGL", "GOOG"), ("BRK/B", "BRK.B")],
)
def test_a_name_nobody_lists_is_named_with_the_nearest_spelling(
    tmp_path: Path, written: str, meant: str
) -> None:
    market = MarketSettings(symbols=("MSFT", written), first_session=FIRST, last_session=LAST)  # pyright: ignore[reportArgumentType]
    lake = LakeContext(FileStore.open(tmp_path), market, HealingSettings())
    names = ("AAPL", "BRK.B", "GOOG", "MSFT")
    take_snapshots(lake, Listing(dict.fromkeys(names, OLD["OLD"])), [FIRST, LAST])

    found = unlisted_symbols(lake)

    assert found == [
        f"{written} (STOCKS_SYMBOLS) is not among the listed symbols; did you mean {meant}?"
    ]


def test_without_a_list_a_symbol_without_any_bar_is_named(tmp_path: Path) -> None:
    market = MarketSettings(symbols=("AAPL", "BRK-B", "msft"), first_session=LAST)  # pyright: ignore[reportArgumentType]
    lake = LakeContext(FileStore.open(tmp_path), market, HealingSettings())
    grid = lake.calendar.grid(LAST)
    known = SessionCoverage.blank(grid, lake.universe(LAST))
    known.bits["observed"][0, :] = True
    known.bits["empty"][1:, :] = True
    known.verified_at[:] = np.datetime64("2026-11-21T12:00", "us")
    coverage_table.update(lake.store, grid, lambda _: known, due=grid.end)

    found = unlisted_symbols(lake)

    assert [line.partition(" (")[0] for line in found] == ["BRK-B", "msft"]
    assert found[0].endswith("did you mean BRK.B?")
    assert found[1].endswith("did you mean MSFT?")
