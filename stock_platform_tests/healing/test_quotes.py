"""Quotes rebuilt from bars: what a poll would have said."""

from datetime import timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars as bar
from stock_platform.domain.quotes import RAW_QUOTES, merge_quotes
from stock_platform.domain.revision import FROM_MINUTES
from stock_platform.healing.aggregate import rebuild, slots_without
from stock_platform_tests.domain.examples import GRID, at, bars_of

OBSERVED = at("22:00")


def priced(prices: dict[tuple[str, int], int]) -> pl.DataFrame:
    """Return bars whose close is the price, with a high and a low one dollar around it."""
    close = pl.Series("close", list(prices.values()), pl.Int64)
    return bars_of(prices).with_columns(close, high=close + 1, low=close - 1).cast(bar.MINUTE_BARS)


def test_a_rebuilt_quote_is_the_last_trade_and_the_day_so_far() -> None:
    bars = priced({("A", 0): 20, ("A", 3): 30, ("A", 4): 90})

    [quote] = rebuild(bars, GRID.minute(3), OBSERVED).rows(named=True)

    assert quote == dict.fromkeys(RAW_QUOTES) | {
        "symbol": "A",
        "minute": GRID.minute(3),
        "price": Decimal(30),
        "open": Decimal(10),
        "high": Decimal(31),
        "low": Decimal(19),
        "quoted_at": GRID.minute(4),
        "provider": FROM_MINUTES,
        "observed_at": OBSERVED,
    }


def test_a_quiet_symbol_keeps_its_last_price() -> None:
    [quote] = rebuild(priced({("A", 0): 20}), GRID.minute(200), OBSERVED).rows(named=True)

    assert (quote["price"], quote["quoted_at"]) == (Decimal(20), GRID.minute(1))


def test_before_its_first_trade_a_symbol_has_no_quote() -> None:
    assert rebuild(priced({("A", 5): 20}), GRID.minute(4), OBSERVED).is_empty()


CELLS = st.sets(st.tuples(st.sampled_from("ABC"), st.integers(0, 9)), min_size=1)


@given(CELLS, st.sets(st.integers(0, 9)))
def test_once_rebuilt_no_minute_is_without_quotes(
    cells: set[tuple[str, int]], held: set[int]
) -> None:
    bars = bars_of(cells)
    minutes = [GRID.minute(slot) for slot in range(10)]
    quotes = merge_quotes(
        pl.DataFrame(schema=RAW_QUOTES),
        *(rebuild(bars, GRID.minute(slot), OBSERVED) for slot in held),
    )
    without = slots_without(quotes, bars, minutes)

    rebuilt = merge_quotes(quotes, *(rebuild(bars, minutes[slot], OBSERVED) for slot in without))

    begun = min(slot for _, slot in cells)
    assert without == [slot for slot in range(begun, 10) if slot not in held]
    assert slots_without(rebuilt, bars, minutes) == []


def test_without_bars_nothing_can_be_rebuilt() -> None:
    minutes = [GRID.minute(0), GRID.minute(0) + timedelta(minutes=1)]

    assert slots_without(pl.DataFrame(schema=RAW_QUOTES), bars_of([]), minutes) == []
