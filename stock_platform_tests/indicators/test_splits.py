"""A split changes the number of shares and nothing else."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stock_platform.domain.reference import SPLITS
from stock_platform.indicators import registry
from stock_platform.indicators.engine import states
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.engine.sessions import compute_sessions
from stock_platform.indicators.splits import adjust, doubtful_splits
from stock_platform_tests.indicators.market import (
    daily_bars,
    random_daily,
    real_daily,
    same_minutes,
)
from stock_platform_tests.indicators.test_carry import difference

DAILY = registry.choose(registry.builtin(), "daily")
MINUTE = registry.choose(registry.builtin(), "minute")
# Adjusted prices differ in their last digit; the others divide by differences of prices,
# which on flat prices are nothing but that digit.
STABLE = [
    indicator
    for indicator in DAILY
    if not indicator.name.startswith(("stochastic", "cci", "mfi", "rsi", "adx", "obv"))
]
RATIOS = st.sampled_from([(1.0, 2.0), (1.0, 10.0), (20.0, 1.0), (2.0, 3.0)])


def splits(*rows: tuple[str, date, float, float]) -> pl.DataFrame:
    columns = ("symbol", "executed_on", "split_from", "split_to")
    return pl.DataFrame([dict(zip(columns, row, strict=True)) for row in rows], schema=SPLITS)


def as_if_traded(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Turn continuous bars into those that would have been printed around the splits."""
    for symbol, on, old, new in actions.select(list(SPLITS)[:4]).iter_rows():
        before = (pl.col("symbol") == symbol) & (pl.col("session") < on)
        bars = bars.with_columns(
            *(
                pl.when(before).then(pl.col(name) * (new / old)).otherwise(name).alias(name)
                for name in ("open", "high", "low", "close")
            ),
            pl.when(before)
            .then(pl.col("volume") * (old / new))
            .otherwise("volume")
            .alias("volume"),
        )
    return bars


@settings(max_examples=40, deadline=None)
@given(bars=daily_bars(sessions_min=40), ratio=RATIOS, place=st.floats(0.1, 0.95))
def test_a_split_inside_the_window_changes_nothing(
    bars: pl.DataFrame, ratio: tuple[float, float], place: float
) -> None:
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0", days[int(place * len(days))], *ratio))
    traded = as_if_traded(bars, actions)

    values = compute(adjust(traded, actions, as_of=days[-1]), DAILY).values

    assert difference(values, compute(bars, DAILY).values, STABLE) < 1e-9


def test_every_indicator_is_untouched_by_a_split_of_ordinary_prices() -> None:
    bars = random_daily(3, 200, seed=1)
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0000", days[150], 1.0, 2.0), ("S0001", days[180], 4.0, 1.0))

    values = compute(adjust(as_if_traded(bars, actions), actions, as_of=days[-1]), DAILY).values

    assert difference(values, compute(bars, DAILY).values, DAILY) < 1e-9


def test_a_state_is_carried_over_a_split_without_recomputing() -> None:
    bars = random_daily(3, 120, seed=2)
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0000", days[-1], 1.0, 10.0), ("S0001", days[-1], 8.0, 1.0))
    traded = as_if_traded(bars, actions)
    before = compute_sessions(traded, DAILY, first=days[0], last=days[-2], splits=actions)

    done = compute_sessions(
        traded.group_by("symbol", maintain_order=True).tail(40),
        DAILY,
        first=days[-1],
        last=days[-1],
        splits=actions,
        states=states.as_of(before.states, days[-2]),
    )

    whole = compute(bars, DAILY).values.filter(pl.col("session") == days[-1])
    assert difference(done.values, whole, DAILY) < 1e-9


def test_stored_values_stay_in_the_shares_of_their_own_session() -> None:
    bars = random_daily(1, 120, seed=3)
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0000", days[100], 1.0, 10.0))
    traded = as_if_traded(bars, actions)

    early = compute_sessions(traded, DAILY, first=days[0], last=days[90], splits=actions)
    late = compute_sessions(traded, DAILY, first=days[0], last=days[-1], splits=actions)

    kept = late.values.filter(pl.col("session") <= days[90])
    assert difference(kept, early.values, DAILY) < 1e-9
    raw = traded.filter(pl.col("session") == days[90])["close"][0]
    assert kept["sma_20"][-1] == pytest.approx(raw, rel=0.3)


def test_a_healed_session_before_a_split_is_recomputed_over_it() -> None:
    bars = random_daily(2, 150, seed=4)
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0000", days[-10], 1.0, 4.0))
    traded = as_if_traded(bars, actions)
    before = compute_sessions(traded, DAILY, first=days[0], last=days[-31], splits=actions)

    forward = compute_sessions(
        traded,
        DAILY,
        first=days[-30],
        last=days[-1],
        splits=actions,
        states=states.as_of(before.states, days[-31]),
    )

    whole = compute_sessions(traded, DAILY, first=days[0], last=days[-1], splits=actions)
    late = whole.values.filter(pl.col("session") >= days[-30])
    assert difference(forward.values, late, DAILY) < 1e-9


def test_minutes_are_adjusted_by_the_session_they_lie_in() -> None:
    bars = same_minutes(1, 3, seed=5).with_columns(session=pl.col("minute").dt.date())
    days = bars["session"].unique().sort().to_list()
    actions = splits(("S0000", days[2], 1.0, 10.0))
    traded = as_if_traded(bars, actions).drop("session")

    done = compute_sessions(traded, MINUTE, first=days[2], last=days[2], splits=actions)

    whole = compute(bars.drop("session"), MINUTE).values.filter(
        pl.col("minute").dt.date() == days[2]
    )
    assert difference(done.values.drop("session"), whole, MINUTE) < 1e-9


def test_a_split_still_to_come_counts_for_nothing() -> None:
    bars = random_daily(1, 30, seed=6)
    last = bars["session"].max()
    assert isinstance(last, date)

    assert_frame_equal(
        adjust(bars, splits(("S0000", date(2030, 1, 2), 1.0, 10.0)), as_of=last), bars
    )


def test_several_splits_multiply() -> None:
    bars = random_daily(1, 3, seed=7)
    days = bars["session"].to_list()
    actions = splits(("S0000", days[1], 1.0, 2.0), ("S0000", days[2], 1.0, 5.0))

    adjusted = adjust(bars, actions, as_of=days[2])

    assert (bars["close"] / adjusted["close"]).round(9).to_list() == [10.0, 5.0, 1.0]
    assert (adjusted["volume"] / bars["volume"]).round(9).to_list() == [10.0, 5.0, 1.0]


def test_apples_real_split_of_2014_disappears() -> None:
    bars = real_daily("AAPL_BRKA_MSFT_ZEN_2014_raw_wiki.csv")
    actions = splits(("AAPL", date(2014, 6, 9), 1.0, 7.0))
    last = bars["session"].max()
    assert isinstance(last, date)

    values = compute(adjust(bars, actions, as_of=last), DAILY).values
    raw = compute(bars, DAILY).values

    apple = pl.col("symbol") == "AAPL"
    assert (raw.filter(apple)["daily_pct_change"] < -80).any()
    assert (values.filter(apple)["daily_pct_change"].abs().drop_nulls() < 9).all()
    assert doubtful_splits(bars, actions, as_of=last).height == 0


def test_bars_a_vendor_adjusted_already_are_found_out() -> None:
    bars = real_daily("AAPL_2004_2018_splitadj_yahoo.csv")
    actions = splits(("AAPL", date(2014, 6, 9), 1.0, 7.0))
    last = bars["session"].max()
    assert isinstance(last, date)

    [doubt] = doubtful_splits(bars, actions, as_of=last).to_dicts()

    assert (doubt["symbol"], doubt["executed_on"]) == ("AAPL", date(2014, 6, 9))
    assert doubt["move"] == pytest.approx(7.0, rel=0.05)
