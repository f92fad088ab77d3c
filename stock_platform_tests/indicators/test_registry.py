"""The registry: what is in it, what users add to it, and what is written from it."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators import docs, registry
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.indicator import Column, Indicator
from stock_platform.indicators.library import trend
from stock_platform.settings import IndicatorSettings, load
from stock_platform_tests.indicators.market import random_daily

DOCUMENT = Path(__file__).parents[2] / "docs" / "indicators.md"

slow_average = trend.ema(200)
clashing = trend.sma(20)
nonsense = 42


def range_position() -> list[Indicator]:
    """Stand for a user's function that gives several indicators."""
    return [
        Indicator(
            name="range_position",
            title="Place of the close in the bar's range",
            columns=(Column("range_position", "ratio", "(close - low) / (high - low)"),),
            compute=lambda bars: ((bars.close - bars.low) / (bars.high - bars.low),),
            warmup=0,
            lookback=0,
        )
    ]


def entry(name: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{name}", registry.GROUP)


def test_the_indicators_of_the_issue_are_there() -> None:
    names = {indicator.name for indicator in registry.builtin()}

    assert names >= {
        "sma_20", "ema_20", "wma_20", "rsi_14", "macd_12_26_9", "bollinger_20_2", "atr_14",
        "adx_14", "stochastic_14_3_3", "obv", "mfi_14", "cci_20", "rolling_std_20",
        "session_vwap", "volatility", "rolling_avg", "daily_pct_change", "gap_pct",
        "relative_volume_20",
    }  # fmt: skip


def test_a_package_adds_an_indicator_by_an_entry_point() -> None:
    found = registry.installed([entry("slow_average"), entry("range_position")])

    values = compute(random_daily(1, 210, seed=1), found[-2:]).values
    assert values.columns[2:] == ["range_position", "ema_200"]
    assert values["ema_200"].null_count() == 199


def test_entry_points_are_read_when_they_are_asked_for() -> None:
    assert [i.name for i in registry.installed()] == [i.name for i in registry.builtin()]


def test_two_indicators_may_not_write_one_column() -> None:
    with pytest.raises(InvalidDataError, match="sma_20"):
        registry.installed([entry("clashing")])


@pytest.mark.parametrize("name", ["nonsense", "not_there"])
def test_an_entry_point_without_an_indicator_is_named(name: str) -> None:
    with pytest.raises(PermanentError, match=name):
        registry.installed([entry(name)])


def test_columns_are_chosen_by_indicator_or_by_column() -> None:
    chosen = registry.choose(registry.builtin(), "daily", ["rsi_14", "macd_12_26_9_signal"])

    assert [indicator.name for indicator in chosen] == ["macd_12_26_9", "rsi_14"]


def test_a_choice_of_something_unknown_says_what_there_is() -> None:
    with pytest.raises(InvalidDataError, match=r"\['gap_pct'\].*session_vwap"):
        registry.choose(registry.builtin(), "minute", ["gap_pct"])


def test_the_choice_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_INDICATORS", '["obv"]')

    chosen = registry.choose(registry.builtin(), "daily", load(IndicatorSettings).indicators)

    assert [indicator.name for indicator in chosen] == ["obv"]


def test_every_column_is_described() -> None:
    described = registry.descriptions(registry.builtin())

    assert described["atr_14"] == "Average true range: Wilder's average of the true range (price)"
    assert all(described.values())


def test_columns_and_states_are_named_for_their_indicator() -> None:
    strangers = [
        column.name
        for indicator in registry.builtin()
        if indicator.name != "adx_14"
        for column in (*indicator.columns, *indicator.state)
        if not column.name.startswith(indicator.name)
    ]

    assert strangers == []


def test_the_document_is_up_to_date() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")

    assert docs.updated(written, registry.builtin()) == written


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="begin generated"):
        docs.updated("# Indicators\n", registry.builtin())
