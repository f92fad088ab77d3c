"""The figures of stock_data: exact, adjusted for splits, and against the vendors' own files."""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.bars import PRICE
from stock_platform.domain.reference import SPLITS
from stock_platform.errors import InvalidDataError
from stock_platform.serving.postgres.rows import stock_data_rows, to_stock_data
from stock_platform_tests.shared_data import SHARED

MONDAY = date(2026, 11, 16)
PRICES = st.decimals("0.000001", "100000000", places=6)


def bars_of(closes: list[Decimal | str], symbol: str = "GOOG") -> pl.DataFrame:
    text = [str(close) for close in closes]
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(text),
            "session": [MONDAY + timedelta(days=n) for n in range(len(text))],
            **dict.fromkeys(("open", "high", "low", "close"), text),
            "volume": ["1"] * len(text),
        }
    ).with_columns(pl.col("open", "high", "low", "close", "volume").cast(PRICE))


def six_places(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000001"), ROUND_HALF_UP)


@given(low=PRICES, high=PRICES, close=PRICES)
def test_volatility_is_the_exact_range_in_percent_of_the_close(
    low: Decimal, high: Decimal, close: Decimal
) -> None:
    low, high = sorted((low, high))
    bars = bars_of([close]).with_columns(
        pl.Series("high", [high], dtype=PRICE), pl.Series("low", [low], dtype=PRICE)
    )

    [volatility] = stock_data_rows(bars)["volatility"]

    with localcontext(prec=60):
        assert volatility == six_places((high - low) / close * 100)


@given(closes=st.lists(PRICES, min_size=5, max_size=12))
def test_average_and_change_are_exact_for_any_prices(closes: list[Decimal]) -> None:
    rows = stock_data_rows(bars_of(list(closes)))

    with localcontext(prec=60):
        averages = [six_places(sum(closes[n - 4 : n + 1]) / 5) for n in range(4, len(closes))]
        changes = [six_places((now - before) / before * 100) for before, now in pairwise(closes)]
    assert rows["rolling_avg"].to_list() == [None] * 4 + averages
    assert rows["daily_pct_change"].to_list() == [None, *changes]


def test_figures_of_one_symbol_never_look_at_another() -> None:
    both = pl.concat([bars_of(["10"] * 5, "AAA"), bars_of(["20"] * 3, "BBB")])

    rows = stock_data_rows(both).filter(symbol="BBB")

    assert rows["rolling_avg"].to_list() == [None] * 3
    assert rows["daily_pct_change"].to_list() == [None, Decimal(0), Decimal(0)]


def test_a_split_inside_the_window_changes_nothing_but_the_unit() -> None:
    bars = bars_of(["100", "100", "100", "50", "50"])
    split = pl.DataFrame(
        [("GOOG", MONDAY + timedelta(days=3), 1.0, 2.0, "massive", None)], SPLITS, orient="row"
    )

    rows = stock_data_rows(bars, splits=split)

    assert rows["daily_pct_change"].to_list()[1:] == [Decimal(0)] * 4
    assert rows["rolling_avg"].to_list()[-1] == Decimal(50)
    assert rows["close"].to_list()[0] == Decimal(100)


def test_earlier_sessions_are_looked_back_on_and_left_out() -> None:
    bars = bars_of(["1", "2", "3", "4", "5", "6"])

    rows = stock_data_rows(bars, first=MONDAY + timedelta(days=5))

    assert rows.select("rolling_avg", "daily_pct_change").rows() == [(Decimal(4), Decimal(20))]


def test_a_doubled_key_is_malformed_and_named() -> None:
    rows = stock_data_rows(bars_of(["1", "2"]))

    with pytest.raises(InvalidDataError, match="GOOG 2026-11-16"):
        to_stock_data(pl.concat([rows, rows.head(1)]))


def test_no_bars_give_no_rows() -> None:
    assert stock_data_rows(bars_of([])).is_empty()


def test_real_prices_keep_every_digit_of_the_source() -> None:
    source = pl.read_csv(SHARED / "daily" / "AAPL_2000_2013_raw_bokeh.csv", infer_schema=False)
    bars = source.select(
        "symbol",
        pl.col("date").str.to_date().alias("session"),
        pl.col("open", "high", "low", "close", "volume").cast(PRICE),
    )

    rows = stock_data_rows(bars)

    names = ["open", "high", "low", "close", "volume"]
    expected = [tuple(map(Decimal, texts)) for texts in source.sort("date").select(names).rows()]
    assert rows.select(names).rows() == expected
