"""Minutes without all their quotes, found symbol by symbol."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.quotes import RAW_QUOTES, merge_quotes
from stock_platform.healing.aggregate import slots_without
from stock_platform_tests.domain.examples import GRID, at, bars_of

CELLS = st.sets(st.tuples(st.sampled_from("ABC"), st.integers(0, 5)))
MINUTES = [GRID.minute(slot) for slot in range(6)]


def quotes_of(cells: set[tuple[str, int]]) -> pl.DataFrame:
    rows = [
        {
            "symbol": symbol,
            "minute": GRID.minute(slot),
            "price": 10,
            "provider": "finnhub",
            "observed_at": at("22:00"),
        }
        for symbol, slot in sorted(cells)
    ]
    return merge_quotes(pl.DataFrame(rows, schema=RAW_QUOTES))


@given(CELLS, CELLS)
def test_a_minute_lacks_quotes_when_a_symbol_that_had_begun_to_trade_has_none(
    traded: set[tuple[str, int]], quoted: set[tuple[str, int]]
) -> None:
    begun = {symbol: min(n for s, n in traded if s == symbol) for symbol, _ in traded}

    found = slots_without(quotes_of(quoted), bars_of(sorted(traded)), MINUTES)

    assert found == [
        slot
        for slot in range(6)
        if any(first <= slot and (symbol, slot) not in quoted for symbol, first in begun.items())
    ]


def test_a_quote_of_a_symbol_that_never_traded_stands_in_for_nobody() -> None:
    quotes = quotes_of({("QUIET", 0)})

    assert slots_without(quotes, bars_of([("A", 0)]), MINUTES[:1]) == [0]
