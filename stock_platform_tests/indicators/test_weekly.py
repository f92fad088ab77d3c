"""Weekly performance in ordinary weeks, holiday weeks, with splits and with nothing."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.weekly import (
    PERFORMANCE,
    Mover,
    Week,
    best_and_worst,
    weekly_performance,
)
from stock_platform_tests.indicators.market import NO_SPLITS, daily_bars, real_daily
from stock_platform_tests.indicators.test_splits import splits

FLASH = Week.of(Calendar(), date(2014, 6, 14))
"""The week of Apple's seven-for-one split: Monday 9 June 2014."""


def test_a_week_is_told_from_its_first_open_to_its_last_close() -> None:
    bars = real_daily("AAPL_IBM_KO_MSFT_2012_2014_splitadj_zipline.csv")
    week = Week.of(Calendar(), date(2013, 4, 26))

    row = weekly_performance(bars, NO_SPLITS, week, ["MSFT"]).row(0, named=True)

    inside = bars.filter((pl.col("symbol") == "MSFT") & pl.col("session").is_in(week.sessions))
    assert row["return_pct"] == pytest.approx((31.79 / 30.299999 - 1) * 100, abs=1e-3)
    assert row["range_pct"] == pytest.approx(
        inside.select(pl.col("high").max() - pl.col("low").min()).item() / 30.299999 * 100
    )
    assert (row["sessions"], row["sessions_expected"]) == (5, 5)


def test_a_holiday_week_expects_fewer_sessions() -> None:
    thanksgiving = Week.of(Calendar(), date(2026, 11, 28))

    assert thanksgiving.monday == date(2026, 11, 23)
    assert [day.day for day in thanksgiving.sessions] == [23, 24, 25, 27]


@pytest.mark.parametrize("day", [date(2026, 11, 16), date(2026, 11, 20), date(2026, 11, 22)])
def test_every_day_from_monday_to_sunday_is_of_one_week(day: date) -> None:
    assert Week.of(Calendar(), day).monday == date(2026, 11, 16)


def test_a_split_in_the_week_is_not_a_loss() -> None:
    bars = real_daily("AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv")
    week = Week(FLASH.monday, (date(2014, 6, 5), date(2014, 6, 6), *FLASH.sessions[:3]))
    actions = splits(("AAPL", date(2014, 6, 9), 1.0, 7.0))

    row = weekly_performance(bars, actions, week, ["AAPL"]).row(0, named=True)

    assert -5 < row["return_pct"] < 5
    assert row["close"] == pytest.approx(93.86, abs=0.01)


def test_a_symbol_without_bars_has_a_row_without_figures() -> None:
    bars = real_daily("AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv")

    performance = weekly_performance(bars, NO_SPLITS, FLASH, ["MSFT", "GONE"])

    assert performance["symbol"].to_list() == ["GONE", "MSFT"]
    assert performance.row(0, named=True)["return_pct"] is None
    assert performance["sessions"].to_list() == [0, 5]


def test_an_empty_watchlist_is_an_empty_table() -> None:
    bars = real_daily("AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv")

    performance = weekly_performance(bars, NO_SPLITS, FLASH, [])

    assert (performance.schema, performance.height) == (PERFORMANCE, 0)
    assert best_and_worst(performance) is None


def test_among_equals_the_alphabet_decides() -> None:
    same = pl.DataFrame({"symbol": ["B", "A"], "return_pct": [1.0, 1.0]})

    assert best_and_worst(same) == (Mover("A", 1.0), Mover("A", 1.0))


@given(bars=daily_bars(), day=st.dates(date(2020, 1, 1), date(2020, 6, 1)))
def test_no_return_is_larger_than_its_range(bars: pl.DataFrame, day: date) -> None:
    week = Week.of(Calendar(), day)

    performance = weekly_performance(bars, NO_SPLITS, week, ["S0", "S1", "S2"]).drop_nulls()

    inside = (pl.col("return_pct").abs() <= pl.col("range_pct") * (1 + 1e-9) + 1e-9).all()
    assert performance.select(inside).item()
