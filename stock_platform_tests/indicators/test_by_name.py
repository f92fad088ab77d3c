"""Indicators by name over any frame of bars: what a notebook calls."""

from datetime import datetime
from importlib.metadata import EntryPoint

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators import registry
from stock_platform.indicators.by_name import compute_indicators, indicator_by_name
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.library import momentum, trend, volatility
from stock_platform_tests.indicators.market import random_daily, same_minutes

DAILY = random_daily(3, 260, seed=1)
MINUTES = same_minutes(2, 1, seed=1)


def test_values_are_those_of_the_library() -> None:
    found = compute_indicators(DAILY, ["ema_20", "rsi_14"])

    whole = compute(DAILY, [trend.ema(), momentum.rsi()], keep_states=False).values
    assert_frame_equal(found, whole, check_exact=True)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("sma_50", trend.sma(50)),
        ("ema_200", trend.ema(200)),
        ("macd_5_35_5", trend.macd(5, 35, 5)),
        ("bollinger_50_2.5", volatility.bollinger(50, 2.5)),
        ("stochastic_5_1_3", momentum.stochastic(5, 1, 3)),
    ],
)
def test_a_built_in_kind_takes_another_period(name: str, made: trend.Indicator) -> None:
    found = compute_indicators(DAILY, [name])

    assert_frame_equal(found, compute(DAILY, [made]).values, check_exact=True)


def test_a_column_of_an_indicator_comes_alone() -> None:
    found = compute_indicators(DAILY, ["macd_12_26_9_signal", "plus_di_20"])

    assert found.columns == ["symbol", "session", "macd_12_26_9_signal", "plus_di_20"]


def test_columns_stand_in_the_order_of_the_names_and_once() -> None:
    found = compute_indicators(MINUTES, ["session_vwap", "ema_5", "session_vwap"])

    assert found.columns == ["symbol", "minute", "session_vwap", "ema_5"]


def test_values_can_be_joined_to_the_bars_they_are_of() -> None:
    joined = DAILY.join(compute_indicators(DAILY, ["sma_20"]), on=["symbol", "session"])

    assert joined.height == DAILY.height
    assert joined.filter(pl.col("sma_20").is_null()).height == 3 * 19


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("emma_20", "ema_20"),
        ("macd", "macd_12_26_9"),
        ("bollinger_20", "bollinger_20_2"),
        ("rsi14", "rsi_14"),
        ("sma_1.5.2", "sma_20"),
        ("macd_1_2_3_4", "macd_12_26_9"),
        ("", "adx_14"),
    ],
)
def test_an_unknown_name_lists_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidDataError, match=rf"nearest are .*\b{nearest}\b"):
        compute_indicators(DAILY, [name])


@pytest.mark.parametrize("name", ["sma_1", "ema_0", "rsi_100001", "stochastic_5_0_3"])
def test_a_period_nobody_can_average_over_is_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match="a period is 2 to"):
        indicator_by_name(name, "daily")


def test_a_slow_average_that_is_the_faster_one_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="fast period"):
        compute_indicators(DAILY, ["macd_26_12_9"])


def test_an_indicator_of_sessions_is_not_computed_on_minutes() -> None:
    with pytest.raises(InvalidDataError, match="no minute indicator 'vwap_20'"):
        compute_indicators(MINUTES, ["vwap_20"])


def test_bars_without_a_needed_column_are_refused_by_its_name() -> None:
    with pytest.raises(InvalidDataError, match="no column volume"):
        compute_indicators(DAILY.drop("volume"), ["sma_20"])


def test_a_period_that_is_not_whole_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"ema_20\.5"):
        compute_indicators(DAILY, ["ema_20.5"])


@pytest.mark.parametrize("name", [None, 5, b"ema_20"])
def test_a_name_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match="is text"):
        compute_indicators(DAILY, [name])


def test_bars_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="found LazyFrame"):
        compute_indicators(DAILY.lazy(), ["ema_20"])  # pyright: ignore[reportArgumentType]


def test_a_package_that_cannot_be_loaded_leaves_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sick = EntryPoint("sick", "no_such_package:one", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [sick])

    assert compute_indicators(DAILY, ["rsi_14"]).height == DAILY.height
    with pytest.raises(PermanentError, match="'sick'"):
        compute_indicators(DAILY, ["of_the_package"])


@pytest.mark.parametrize(
    "times",
    [
        pl.Series("minute", [datetime(2026, 11, 19, 14, 30)]),  # noqa: DTZ001 - what is refused
        pl.Series("minute", ["2026-11-19T14:30:00Z"]),
        pl.Series("session", ["2026-11-19"]),
    ],
)
def test_a_time_of_another_type_is_refused(times: pl.Series) -> None:
    numbers = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    bars = pl.DataFrame({"symbol": ["A"], **numbers}).with_columns(times)

    with pytest.raises(InvalidDataError, match=f"the column {times.name} is an? "):
        compute_indicators(bars, ["sma_20"])
