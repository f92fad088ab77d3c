"""Computing over frames: TA-Lib's own results, and laws that hold for any bars."""

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators import registry
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.indicator import Column, Indicator
from stock_platform.indicators.library import volume
from stock_platform_tests.indicators.market import (
    daily_bars,
    random_daily,
    real_daily,
    real_minutes,
    same_minutes,
)

SMA = talib.MA_Type.SMA
DAILY = registry.choose(registry.builtin(), "daily")
MINUTE = registry.choose(registry.builtin(), "minute")


def by_talib(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    """Compute what TA-Lib itself has, on one symbol's bars, by its public functions."""
    h, low, c, v = (bars[n].to_numpy() for n in ("high", "low", "close", "volume"))
    macd, signal, histogram = talib.MACD(c, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(c, 20, 2, 2)
    k, d = talib.STOCH(h, low, c, 14, 3, SMA, 3, SMA)
    return {
        "sma_20": talib.SMA(c, 20),
        "ema_20": talib.EMA(c, 20),
        "wma_20": talib.WMA(c, 20),
        "macd_12_26_9": macd,
        "macd_12_26_9_signal": signal,
        "macd_12_26_9_histogram": histogram,
        "adx_14": talib.ADX(h, low, c, 14),
        "plus_di_14": talib.PLUS_DI(h, low, c, 14),
        "minus_di_14": talib.MINUS_DI(h, low, c, 14),
        "rsi_14": talib.RSI(c, 14),
        "stochastic_14_3_3_k": k,
        "stochastic_14_3_3_d": d,
        "cci_20": talib.CCI(h, low, c, 20),
        "mfi_14": talib.MFI(h, low, c, v, 14),
        "bollinger_20_2_upper": upper,
        "bollinger_20_2_middle": middle,
        "bollinger_20_2_lower": lower,
        "atr_14": talib.ATR(h, low, c, 14),
        "rolling_std_20": talib.STDDEV(c, 20),
        "obv": talib.OBV(c, v),
    }


@pytest.mark.parametrize(
    "bars",
    [
        real_daily("GOOG_2004_2018_splitadj_yahoo.csv"),
        real_daily("SPY_2007_2017_yahoo.csv"),
        real_minutes("MSFT_2020-11-23_2020-12-04.csv"),
        real_minutes("SPY_2011-01-03_2011-01-31.csv"),
    ],
    ids=["GOOG daily", "SPY daily", "MSFT minutes", "SPY minutes"],
)
def test_values_on_real_bars_are_talibs(bars: pl.DataFrame) -> None:
    values = compute(bars, MINUTE if "minute" in bars.columns else DAILY).values

    expected = pl.DataFrame(by_talib(bars)).fill_nan(None)
    assert expected.null_count().row(0)[:3] == (19, 19, 19)
    assert_frame_equal(values.select(expected.columns), expected, abs_tol=0, rel_tol=0)


def test_a_frame_of_many_symbols_is_each_symbol_by_itself() -> None:
    bars = real_daily("AAPL_IBM_KO_MSFT_2012_2014_splitadj_zipline.csv")

    together = compute(bars, DAILY).values

    apart = pl.concat(
        [
            compute(bars.filter(pl.col("symbol") == name), DAILY).values
            for name in ("AAPL", "IBM", "KO", "MSFT")
        ]
    )
    assert_frame_equal(together, apart, check_exact=True)


def test_blocks_change_nothing() -> None:
    bars = random_daily(400, 1700, seed=1)

    whole = compute(bars, DAILY, keep_states=False).values
    cut = [
        compute(bars.filter(pl.col("symbol").str.slice(1, 2) == hundred), DAILY).values
        for hundred in ("00", "01", "02", "03")
    ]

    assert_frame_equal(whole, pl.concat(cut), check_exact=True)


@settings(max_examples=40, deadline=None)
@given(bars=daily_bars(), dropped=st.integers(1, 20))
def test_appending_sessions_never_changes_earlier_values(bars: pl.DataFrame, dropped: int) -> None:
    days = bars["session"].unique().sort()
    earlier = bars.filter(pl.col("session") <= days[max(0, len(days) - 1 - dropped)])

    before, after = compute(earlier, DAILY).values, compute(bars, DAILY).values

    kept = after.join(before.select("symbol", "session"), on=["symbol", "session"], how="semi")
    assert_frame_equal(kept, before, check_exact=True)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dropped=st.integers(1, 3))
def test_appending_a_session_never_changes_earlier_minutes(seed: int, dropped: int) -> None:
    bars = same_minutes(2, 4, seed=seed)
    days = bars["minute"].dt.date().unique().sort()
    earlier = bars.filter(pl.col("minute").dt.date() < days[-dropped])

    before, after = compute(earlier, MINUTE).values, compute(bars, MINUTE).values

    kept = after.join(before.select("symbol", "minute"), on=["symbol", "minute"], how="semi")
    assert_frame_equal(kept, before, check_exact=True)


@settings(max_examples=30, deadline=None)
@given(bars=daily_bars(sessions_min=1, sessions_max=60))
def test_no_value_is_nan_or_infinite(bars: pl.DataFrame) -> None:
    values = compute(bars, DAILY).values

    numbers = values.drop("symbol", "session")
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * numbers.width


def test_warm_up_is_as_long_as_the_registry_says() -> None:
    values = compute(random_daily(1, 80, seed=2), DAILY).values

    nulls = {
        column.name: (values[column.name].null_count(), indicator.warmup)
        for indicator in DAILY
        for column in indicator.columns
    }
    # TA-Lib's directional indicators begin before the index that is made of them.
    first = {"plus_di_14": 14, "minus_di_14": 14}
    assert {n: found for n, (found, _) in nulls.items()} == {
        n: first.get(n, warmup) for n, (_, warmup) in nulls.items()
    }


def test_a_missing_minute_is_not_filled() -> None:
    bars = same_minutes(1, 1, seed=3)

    values = compute(bars, MINUTE).values

    assert values["minute"].to_list() == bars["minute"].to_list()


def test_session_vwap_starts_anew_each_session() -> None:
    bars = same_minutes(1, 3, seed=4)

    values = compute(bars, [volume.session_vwap()]).values

    first = (
        bars.with_columns(values["session_vwap"])
        .group_by(pl.col("minute").dt.date(), maintain_order=True)
        .first()
    )
    typical = (first["high"] + first["low"] + first["close"]) / 3
    assert ((first["session_vwap"] - typical).abs() < 1e-9).all()


def test_the_order_of_rows_does_not_matter() -> None:
    bars = random_daily(3, 60, seed=5)

    shuffled = compute(bars.sample(fraction=1, shuffle=True, seed=6), DAILY).values

    assert_frame_equal(shuffled, compute(bars, DAILY).values, check_exact=True)


def test_no_bars_give_no_values() -> None:
    computed = compute(random_daily(1, 2, seed=7).clear(), DAILY)

    assert computed.values.schema == registry.value_schema(DAILY, "daily")
    assert (computed.values.height, computed.states.height) == (0, 0)


def test_frames_have_the_schema_of_the_registry() -> None:
    daily, minutes = (
        compute(random_daily(1, 9, seed=8), DAILY),
        compute(same_minutes(1, 1, seed=8), MINUTE),
    )

    assert daily.values.schema == registry.value_schema(DAILY, "daily")
    assert daily.states.schema == state_schema(DAILY, pl.Date())
    assert minutes.values.schema == registry.value_schema(MINUTE, "minute")
    assert minutes.states.schema == state_schema(MINUTE, TIMESTAMP_US)


def state_schema(indicators: list[Indicator], last: pl.DataType) -> pl.Schema:
    """Return the columns of a frame of states."""
    numbers = {column.name: pl.Float64() for i in indicators for column in i.state}
    return pl.Schema({"symbol": pl.String(), "session": pl.Date(), "last": last, **numbers})


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(wrong: float | None) -> None:
    bars = random_daily(1, 5, seed=9).with_columns(
        pl.when(pl.int_range(5) == 2)
        .then(pl.lit(wrong, pl.Float64))
        .otherwise("close")
        .alias("close")
    )

    with pytest.raises(InvalidDataError, match="found 1 others"):
        compute(bars, DAILY)


def test_two_bars_of_one_session_are_refused() -> None:
    bars = random_daily(1, 5, seed=10)

    with pytest.raises(InvalidDataError, match="one bar per symbol and session"):
        compute(pl.concat([bars, bars.head(1)]), DAILY)


def test_values_stay_when_bars_and_other_results_are_gone() -> None:
    bars = random_daily(2, 60, seed=12)
    expected = compute(bars, DAILY).values.to_dicts()

    close = compute(bars, DAILY).values
    for seed in range(20):
        compute(random_daily(2, 60, seed=seed), DAILY)

    assert close.to_dicts() == expected


@pytest.mark.parametrize("length", [1, 4, 6])
def test_an_indicator_with_results_of_another_length_is_refused(length: int) -> None:
    short = Indicator(
        name="short",
        title="Short",
        columns=(Column("short", "ratio", "too few or too many"),),
        compute=lambda _: (np.zeros(length),),
        warmup=0,
        lookback=0,
    )

    with pytest.raises(PermanentError, match=f"indicator short: {length} results for 5 bars"):
        compute(random_daily(1, 5, seed=11), [short])


def test_an_indicator_that_fails_is_named() -> None:
    broken = Indicator(
        name="broken",
        title="Broken",
        columns=(Column("broken", "ratio", "nothing"),),
        compute=lambda _: (),
        warmup=0,
        lookback=0,
    )

    with pytest.raises(PermanentError, match="indicator broken"):
        compute(random_daily(1, 5, seed=11), [broken])
