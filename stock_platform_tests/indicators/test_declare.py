"""A user's function becomes an indicator like the built-in ones."""

from importlib.metadata import EntryPoint

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_series_equal

from stock_platform.errors import InvalidDataError
from stock_platform.indicators import registry
from stock_platform.indicators.by_name import compute_indicators
from stock_platform.indicators.declare import indicator
from stock_platform.indicators.indicator import MINUTE, Column, Indicator
from stock_platform_tests.indicators.market import random_daily

DAILY = random_daily(2, 60, seed=1)


@pytest.fixture(autouse=True)
def only_what_a_test_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_declared", {})


def declare_range_position() -> Indicator:
    @indicator("range_position", columns={"range_position": "ratio"}, warmup=0)
    def range_position(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        """Place of the close in the bar's range."""
        return (close - low) / (high - low)

    return range_position


def test_a_declared_indicator_is_computed_by_its_name() -> None:
    declare_range_position()

    found = compute_indicators(DAILY, ["range_position"])

    expected = DAILY.select((pl.col("close") - pl.col("low")) / (pl.col("high") - pl.col("low")))
    assert_series_equal(found["range_position"], expected.to_series(), check_names=False)


def test_its_docstring_describes_its_column() -> None:
    made = declare_range_position()

    assert made.title == "Range position"
    assert made.columns == (
        Column("range_position", "ratio", "Place of the close in the bar's range"),
    )


def test_it_is_among_the_installed_ones() -> None:
    made = declare_range_position()

    assert registry.installed()[-1] is made


def test_values_before_the_warmup_are_null() -> None:
    @indicator("momentum_3", columns={"momentum_3": "price"}, warmup=3, inputs=["close"])
    def momentum(prices: np.ndarray) -> np.ndarray:
        return prices - np.roll(prices, 3)

    found = compute_indicators(DAILY, ["momentum_3"])

    assert momentum.lookback == 3
    assert found["momentum_3"].null_count() == 2 * 3


def test_an_array_the_function_was_given_is_not_written_to() -> None:
    @indicator("last_price", columns={"last_price": "price"}, warmup=2)
    def last_price(close: np.ndarray) -> np.ndarray:
        return close

    found = compute_indicators(DAILY, ["last_price", "sma_2"])

    assert last_price.warmup == found["last_price"].null_count() / 2
    assert found["sma_2"].null_count() == 2


def test_several_columns_come_as_a_tuple() -> None:
    @indicator("halves", columns=[Column("above", "price", ""), Column("below", "price", "")],
               warmup=0, timeframes=MINUTE)  # fmt: skip
    def halves(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, ...]:
        return high - close, close - low

    assert halves in registry.choose(registry.installed(), "minute")
    assert halves not in registry.choose(registry.installed(), "daily")


def test_declaring_a_name_again_replaces_it() -> None:
    first, second = declare_range_position(), declare_range_position()

    assert first is not second
    assert [i for i in registry.installed() if i.name == "range_position"] == [second]


def test_an_entry_point_that_names_a_declared_indicator_adds_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = declare_range_position()
    monkeypatch.setattr(EntryPoint, "load", lambda _: made)

    found = registry.installed([EntryPoint("mine", "my_package:mine", registry.GROUP)])

    assert [i for i in found if i.name == "range_position"] == [made]


def test_a_parameter_that_is_no_part_of_a_bar_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="bars have no price; they have open"):

        @indicator("odd", columns={"odd": "price"}, warmup=0)
        def odd(price: np.ndarray) -> np.ndarray:
            return price


def test_a_column_of_another_indicator_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="ema_20"):

        @indicator("mine", columns={"ema_20": "price"}, warmup=0)
        def mine(close: np.ndarray) -> np.ndarray:
            return close

    assert "mine" not in [i.name for i in registry.installed()]


@pytest.mark.parametrize(
    "wrong", [{"columns": {"x": "euro"}}, {"columns": {}}, {"warmup": -3}, {"lookback": -1}]
)
def test_a_declaration_that_cannot_be_right_is_refused(wrong: dict) -> None:
    with pytest.raises(InvalidDataError, match="indicator x"):
        indicator("x", **{"columns": {"x": "ratio"}, "warmup": 0, **wrong})
