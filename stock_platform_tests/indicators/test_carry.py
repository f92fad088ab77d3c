"""Going on from stored states equals recomputing everything, over splits and heals too."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.errors import InvalidDataError
from stock_platform.indicators import registry
from stock_platform.indicators.engine import states as state
from stock_platform.indicators.engine.compute import Computed, compute
from stock_platform.indicators.engine.sessions import compute_sessions
from stock_platform.indicators.indicator import STATELESS_LOOKBACK, Indicator
from stock_platform_tests.indicators.market import (
    NO_SPLITS,
    daily_bars,
    random_daily,
    real_daily,
    real_minutes,
    same_minutes,
)

DAILY = registry.choose(registry.builtin(), "daily")
MINUTE = registry.choose(registry.builtin(), "minute")
REAL = real_daily("AAPL_IBM_KO_MSFT_2012_2014_splitadj_zipline.csv")


def difference(one: pl.DataFrame, other: pl.DataFrame, indicators: list[Indicator]) -> float:
    """Return the largest difference, relative to the size of the numbers a value comes from.

    Points and percents count as they are; prices and volumes against their symbol's
    largest, since a mean of prices cannot be more exact than the prices.
    """
    key = one.columns[:2]
    pairs = one.join(other, on=key, how="full", suffix="_other", coalesce=True)
    assert pairs.height == one.height == other.height
    worst = 0.0
    for indicator in indicators:
        for column in indicator.columns:
            a, b = pl.col(column.name), pl.col(f"{column.name}_other")
            assert pairs.select((a.is_null() == b.is_null()).all()).item(), column.name
            scale = b.abs().max().over("symbol").clip(lower_bound=1.0)
            if column.unit not in {"price", "volume"}:
                scale = pl.lit(1.0) if column.unit == "points" else b.abs().clip(lower_bound=1.0)
            worst = max(worst, pairs.select(((a - b).abs() / scale).max()).item() or 0.0)
    return worst


def session_by_session(bars: pl.DataFrame, days: list[date], history: int) -> Computed:
    """Compute each of the last sessions from the state before it and little history."""
    first = days[0]
    start = compute(bars.filter(pl.col("session") < first), DAILY)
    states, values = start.states, []
    for day in days:
        recent = bars.filter(pl.col("session") <= day).group_by("symbol").tail(history)
        done = compute_sessions(
            recent,
            DAILY,
            first=day,
            last=day,
            splits=NO_SPLITS,
            states=state.as_of(states, day),
        )
        states = done.states
        values.append(done.values)
    return Computed(pl.concat(values), states)


def test_twenty_sessions_one_by_one_equal_the_whole_at_once() -> None:
    days = REAL["session"].unique().sort().to_list()[-20:]

    stepped = session_by_session(REAL, days, history=40)

    whole = compute(REAL, DAILY).values.filter(pl.col("session").is_in(days))
    assert difference(stepped.values, whole, DAILY) < 1e-9


@settings(max_examples=30, deadline=None)
@given(bars=daily_bars(sessions_min=30), last=st.integers(1, 12))
def test_one_call_over_several_sessions_equals_the_whole(bars: pl.DataFrame, last: int) -> None:
    first = bars["session"].unique().sort().to_list()[-last]
    old, new = bars.filter(pl.col("session") < first), bars.filter(pl.col("session") >= first)
    states = state.as_of(compute(old, DAILY).states, first)

    stepped = compute(new, DAILY, history=old, states=states).values

    whole = compute(bars, DAILY).values.filter(pl.col("session") >= first)
    assert difference(stepped, whole, DAILY) < 1e-9


def test_minutes_go_on_from_the_session_before() -> None:
    bars = same_minutes(30, 4, seed=1)
    last = bars["minute"].dt.date().max()
    assert isinstance(last, date)
    old = bars.filter(pl.col("minute").dt.date() < last)
    states = state.as_of(compute(old, MINUTE).states, last)

    tail = old.group_by("symbol", maintain_order=True).tail(40)
    stepped = compute_sessions(
        pl.concat([tail, bars.filter(pl.col("minute").dt.date() == last)]),
        MINUTE,
        first=last,
        last=last,
        splits=NO_SPLITS,
        states=states,
    )

    whole = compute(bars, MINUTE).values.filter(pl.col("minute").dt.date() == last)
    values = stepped.values.drop("session")
    assert difference(values, whole, MINUTE) < 1e-9


def test_real_minutes_go_on_over_thanksgiving_and_the_half_day() -> None:
    bars = real_minutes("MSFT_2020-11-23_2020-12-04.csv")
    day = date(2020, 11, 27)
    old = bars.filter(pl.col("minute").dt.date() < day)
    new = bars.filter(pl.col("minute").dt.date() == day)
    states = state.as_of(compute(old, MINUTE).states, day)

    stepped = compute(new, MINUTE, history=old, states=states).values

    whole = compute(bars, MINUTE).values.filter(pl.col("minute").dt.date() == day)
    assert difference(stepped, whole, MINUTE) < 1e-9


def test_a_healed_session_is_recomputed_forward_from_the_state_before_it() -> None:
    bars = random_daily(8, 300, seed=2)
    days = bars["session"].unique().sort().to_list()
    healed = days[-60]
    lost = (pl.col("session") == healed) & pl.col("symbol").is_in(["S0001", "S0002"])
    before = compute(bars.filter(~lost), DAILY)

    forward = compute_sessions(
        bars,
        DAILY,
        first=healed,
        last=days[-1],
        splits=NO_SPLITS,
        states=state.as_of(before.states, days[-61]),
    )

    whole = compute(bars, DAILY)
    assert forward.values["session"].n_unique() == 60
    late = whole.values.filter(pl.col("session") >= healed)
    assert difference(forward.values, late, DAILY) < 1e-9
    kept = state.as_of(forward.states, days[-1])
    stored = state.as_of(whole.states, days[-1])
    assert kept.select("symbol", "last").equals(stored.select("symbol", "last"))


def test_a_symbol_that_did_not_trade_keeps_its_state() -> None:
    bars = random_daily(3, 80, seed=3)
    days = bars["session"].unique().sort().to_list()
    halted = bars.filter((pl.col("symbol") != "S0001") | (pl.col("session") != days[-2]))

    stepped = session_by_session(halted, days[-3:], history=40)

    whole = compute(halted, DAILY).values.filter(pl.col("session").is_in(days[-3:]))
    assert difference(stepped.values, whole, DAILY) < 1e-9


def test_a_symbol_listed_yesterday_has_no_state_and_is_computed_from_its_bars() -> None:
    bars = random_daily(3, 80, seed=4)
    days = bars["session"].unique().sort().to_list()
    listed = bars.filter((pl.col("symbol") != "S0002") | (pl.col("session") >= days[-25]))

    stepped = session_by_session(listed, days[-24:], history=40)

    whole = compute(listed, DAILY).values.filter(pl.col("session").is_in(days[-24:]))
    assert difference(stepped.values, whole, DAILY) < 1e-9


def test_a_state_that_is_not_of_the_last_bar_before_is_not_used() -> None:
    bars = random_daily(2, 700, seed=5)
    days = bars["session"].unique().sort().to_list()
    stale = state.as_of(compute(bars, DAILY).states, days[-9])
    old, new = (
        bars.filter(pl.col("session") < days[-1]),
        bars.filter(pl.col("session") == days[-1]),
    )

    stepped = compute(new, DAILY, history=old, states=stale).values

    whole = compute(bars, DAILY).values.filter(pl.col("session") == days[-1])
    assert difference(stepped, whole, DAILY) < 1e-9


def test_an_indicator_installed_later_starts_by_itself() -> None:
    bars = random_daily(2, 120, seed=6)
    days = bars["session"].unique().sort().to_list()
    fewer = registry.choose(registry.builtin(), "daily", ["obv", "rsi_14"])
    states = state.as_of(compute(bars, fewer).states, days[-2])
    old, new = (
        bars.filter(pl.col("session") < days[-1]),
        bars.filter(pl.col("session") == days[-1]),
    )

    stepped = compute(new, DAILY, history=old, states=states).values

    whole = compute(bars, DAILY).values.filter(pl.col("session") == days[-1])
    assert difference(stepped, whole, DAILY) < 1e-9


@pytest.mark.parametrize("indicator", [i for i in DAILY if i.recursion], ids=lambda i: i.name)
def test_without_a_state_the_lookback_is_long_enough(indicator: Indicator) -> None:
    recursion = indicator.recursion
    assert recursion is not None
    bars = real_daily("GOOG_2004_2018_splitadj_yahoo.csv")
    day = bars["session"].max()
    old = bars.filter(pl.col("session") < day).tail(STATELESS_LOOKBACK)

    values = compute(bars.filter(pl.col("session") == day), [indicator], history=old).values

    whole = compute(bars, [indicator]).values.filter(pl.col("session") == day)
    errors = [
        abs(values[column.name][0] - whole[column.name][0])
        for column in indicator.columns
        if recursion.weight is not None
    ]
    # docs/indicators.md publishes this bound; OBV, a running total, has none.
    assert all(error < 1e-9 for error in errors)


def test_history_that_reaches_into_the_new_bars_is_refused() -> None:
    bars = random_daily(1, 50, seed=7)

    with pytest.raises(InvalidDataError, match="history must end"):
        compute(bars.head(40), DAILY, history=bars.tail(20))


def test_the_newest_state_of_each_symbol_is_kept_with_a_session() -> None:
    states = pl.DataFrame(
        {
            "symbol": ["A", "A", "B"],
            "session": [date(2026, 1, 2), date(2026, 1, 5), date(2026, 1, 2)],
            "ema_20": [1.0, 2.0, 3.0],
        }
    )

    assert state.as_of(states, date(2026, 1, 5))["ema_20"].to_list() == [2.0, 3.0]
    assert state.as_of(states, date(2026, 1, 3))["ema_20"].to_list() == [1.0, 3.0]
