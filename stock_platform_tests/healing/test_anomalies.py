"""What can hardly be right is named, and what has a reason is not."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.bars import PRICE
from stock_platform.domain.reference import DIVIDENDS, SPLITS
from stock_platform.healing.anomalies import (
    invalid_ohlc,
    minute_volume_above_daily,
    repeated_dividends,
    unexplained_jumps,
)
from stock_platform_tests.domain.examples import bars_of

MONDAY = date(2026, 11, 16)


def days_of(*closes: float | None, symbol: str = "A") -> pl.DataFrame:
    """Return a close a day from Monday on; None is a day without a bar."""
    rows = [
        (symbol, MONDAY + timedelta(days=n), close)
        for n, close in enumerate(closes)
        if close is not None
    ]
    schema = {"symbol": pl.String, "session": pl.Date, "close": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("close").cast(PRICE))


def split(day: int, split_from: float, split_to: float, symbol: str = "A") -> pl.DataFrame:
    row = {
        "symbol": symbol,
        "executed_on": MONDAY + timedelta(days=day),
        "split_from": split_from,
        "split_to": split_to,
    }
    return pl.DataFrame([row], schema=SPLITS)


NO_SPLITS = pl.DataFrame(schema=SPLITS)


def named(days: pl.DataFrame, splits: pl.DataFrame = NO_SPLITS) -> list[int]:
    """Return the days after Monday that are named."""
    return [(day - MONDAY).days for day in unexplained_jumps(days, splits)["session"]]


@pytest.mark.parametrize("close", [5.4, 14.6, 1000.0, 0.1])
def test_a_jump_without_a_split_is_named(close: float) -> None:
    assert named(days_of(10, close)) == [1]


@pytest.mark.parametrize("close", [5.6, 14.4, 10.0])
def test_a_bad_day_is_not_a_jump(close: float) -> None:
    assert named(days_of(10, close)) == []


def test_a_split_explains_its_jump_and_no_other() -> None:
    days = days_of(70, 10.2, 10.1, 70)

    assert named(days, split(1, 1, 7)) == [3]
    assert named(days, split(1, 1, 7, symbol="B")) == [1, 3]


def test_a_reverse_split_must_raise_the_price() -> None:
    assert named(days_of(1, 20), split(1, 20, 1)) == []
    assert named(days_of(20, 1), split(1, 20, 1)) == [1]


def test_a_split_that_prices_know_nothing_of_is_named() -> None:
    assert named(days_of(10, 10), split(1, 1, 10)) == [1]


def test_a_split_on_a_day_without_a_bar_explains_the_next_one() -> None:
    assert named(days_of(70, None, 10), split(1, 1, 7)) == []


def test_two_splits_between_two_bars_are_multiplied() -> None:
    splits = pl.concat([split(1, 1, 2), split(2, 1, 5)])

    assert named(days_of(100, None, 10), splits) == []


def test_symbols_are_not_compared_with_each_other() -> None:
    assert named(pl.concat([days_of(10), days_of(500, symbol="B")])) == []


@given(
    st.lists(st.floats(0.01, 1e6), min_size=2, max_size=6),
    st.sampled_from([(1.0, 2.0), (1.0, 7.0), (20.0, 1.0), (3.0, 2.0)]),
)
def test_a_series_that_follows_its_split_is_named_like_one_without(
    closes: list[float], ratio: tuple[float, float]
) -> None:
    before, after = closes[:1], closes[1:]
    factor = ratio[0] / ratio[1]
    exact = pl.Series([*before, *(close * factor for close in after)])
    plain = days_of(*closes).with_columns(close=pl.Series(closes))
    followed = plain.with_columns(close=exact)

    assert named(followed, split(1, *ratio)) == named(plain)


def dividends(*rows: tuple[int, float, str]) -> pl.DataFrame:
    return (
        pl.DataFrame(
            [
                {
                    "symbol": "A",
                    "ex_on": MONDAY + timedelta(days=day),
                    "amount": amount,
                    "kind": kind,
                }
                for day, amount, kind in rows
            ],
            schema_overrides={"amount": PRICE},
        )
        .select(
            pl.col(name)
            if name in {"symbol", "ex_on", "amount", "kind"}
            else pl.lit(None).alias(name)
            for name in DIVIDENDS
        )
        .cast(DIVIDENDS)
    )


def test_the_same_dividend_within_days_is_named() -> None:
    found = repeated_dividends(dividends((0, 0.5, "CD"), (4, 0.5, "CD")))

    assert found["ex_on"].to_list() == [MONDAY + timedelta(days=4)]


@pytest.mark.parametrize(
    "second", [(7, 0.5, "CD"), (2, 0.6, "CD"), (2, 0.5, "SC")], ids=["weekly", "other", "special"]
)
def test_another_dividend_is_not_a_repetition(second: tuple[int, float, str]) -> None:
    assert repeated_dividends(dividends((0, 0.5, "CD"), second)).is_empty()


def test_minutes_may_not_trade_more_than_their_day() -> None:
    minutes = bars_of([("A", 0), ("A", 1), ("B", 0)])
    days = pl.DataFrame({"symbol": ["A", "B"], "volume": [196, 99]}).cast({"volume": PRICE})

    assert minute_volume_above_daily(minutes, days)["symbol"].to_list() == ["A"]


@pytest.mark.parametrize(("name", "value"), [("high", 10.5), ("low", 10.5), ("high", 8)])
def test_a_bar_out_of_order_is_given(name: str, value: float) -> None:
    bars = bars_of([("A", 0), ("B", 0)])
    wrong = pl.when(pl.col("symbol") == "A").then(pl.lit(value).cast(PRICE)).otherwise(name)

    assert invalid_ohlc(bars.with_columns(wrong.alias(name)))["symbol"].to_list() == ["A"]
