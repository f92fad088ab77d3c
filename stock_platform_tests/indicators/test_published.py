"""Every indicator against a worked example published by somebody else (golden/README.md)."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.indicator import Indicator
from stock_platform.indicators.library import momentum, returns, trend, volatility, volume
from stock_platform_tests.shared_data import SHARED

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> pl.DataFrame:
    """Read an example; columns it does not need are made up without contradiction."""
    table = pl.read_csv(GOLDEN / f"{name}.csv", infer_schema_length=None)
    close = pl.col("close") if "high" not in table.columns else pl.coalesce("close", "high")
    table = table.with_columns(close.alias("close"))
    made_up = [
        pl.col("close").alias(name) for name in ("open", "high", "low") if name not in table.columns
    ]
    if "volume" not in table.columns:
        made_up.append(pl.lit(1.0).alias("volume"))
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(table.height)]
    return table.with_columns(*made_up, symbol=pl.lit("X"), session=pl.Series(days))


def both(bars: pl.DataFrame, indicator: Indicator, column: str, published: str) -> np.ndarray:
    """Give computed and published values side by side, where something was published."""
    values = compute(bars, [indicator]).values.select(computed=pl.col(column))
    rows = pl.concat([values, bars.select(published=published)], how="horizontal")
    return rows.drop_nulls("published").to_numpy()


# The tolerances are half a unit of the last printed digit, plus what the source lost by
# printing rounded inputs beside results of unrounded ones.
@pytest.mark.parametrize(
    ("name", "indicator", "column", "published", "tolerance"),
    [
        ("averages_stockcharts", trend.sma(10), "sma_10", "sma_10", 0.0075),
        ("averages_stockcharts", trend.ema(10), "ema_10", "ema_10", 0.0075),
        ("wma_ta", trend.wma(9), "wma_9", "wma_9", 6e-5),
        ("rsi_stockcharts", momentum.rsi(14), "rsi_14", "rsi_14", 0.006),
        (
            "bollinger_stockcharts",
            volatility.bollinger(),
            "bollinger_20_2_middle",
            "middle",
            0.0061,
        ),
        ("bollinger_stockcharts", volatility.bollinger(), "bollinger_20_2_upper", "upper", 0.012),
        ("bollinger_stockcharts", volatility.bollinger(), "bollinger_20_2_lower", "lower", 0.012),
        (
            "stochastic_stockcharts",
            momentum.stochastic(14, 1, 1),
            "stochastic_14_1_1_k",
            "fast_k",
            2e-3,
        ),
        (
            "stochastic_stockcharts",
            momentum.stochastic(14, 3, 1),
            "stochastic_14_3_1_k",
            "slow_k",
            2e-3,
        ),
        ("cci_stockcharts", momentum.cci(20), "cci_20", "cci_20", 0.06),
        ("obv_stockcharts", volume.obv(), "obv", "obv", 0.0),
        ("money_stockcharts", momentum.mfi(14), "mfi_14", "mfi_14", 6e-6),
        ("money_stockcharts", volume.vwap(14), "vwap_14", "vwap_14", 1e-5),
    ],
)
def test_the_published_values_come_out(
    name: str, indicator: Indicator, column: str, published: str, tolerance: float
) -> None:
    computed, expected = both(golden(name), indicator, column, published).T

    assert len(expected) >= 11
    assert np.abs(computed - expected).max() <= tolerance


def test_rolling_deviation_is_a_quarter_of_the_published_band() -> None:
    bars = golden("bollinger_stockcharts").with_columns(
        deviation=(pl.col("upper") - pl.col("lower")) / 4
    )

    computed, expected = both(bars, volatility.rolling_std(20), "rolling_std_20", "deviation").T

    assert np.abs(computed - expected).max() <= 0.006


def test_atr_is_wilders_when_the_first_range_counts() -> None:
    # StockCharts counts the first bar's high less low as a true range, TA-Lib only begins
    # with the second bar: a day before, closing within the first bar, makes them the same.
    bars = golden("atr_stockcharts")
    before = bars.head(1).with_columns(
        session=pl.col("session") - pl.duration(days=1), atr_14=pl.lit(None, pl.Float64)
    )

    computed, expected = both(pl.concat([before, bars]), volatility.atr(14), "atr_14", "atr_14").T

    assert len(expected) == 17
    assert np.abs(computed - expected).max() < 1e-9


@pytest.mark.parametrize(
    ("column", "tolerance"), [("plus_di_14", 0.06), ("minus_di_14", 0.06), ("adx_14", 0.07)]
)
def test_adx_meets_wilders_once_the_start_is_forgotten(column: str, tolerance: float) -> None:
    # Wilder starts from a sum of 14 ranges, TA-Lib from 13 and one smoothing step; after 95
    # bars (13/14)**81 = 0.2% of that difference is left.
    computed, expected = both(golden("adx_stockcharts"), trend.adx(14), column, column).T

    assert len(expected) == 7
    assert np.abs(computed - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("column", "published"),
    [
        ("macd_12_26_9", "macd"),
        ("macd_12_26_9_signal", "signal"),
        ("macd_12_26_9_histogram", "histogram"),
    ],
)
def test_macd_meets_the_published_table_once_the_start_is_forgotten(
    column: str, published: str
) -> None:
    # The table starts its averages at the first close, TA-Lib at a simple average.
    computed, expected = both(golden("macd_stockcharts"), trend.macd(), column, published).T

    assert len(expected) == 13
    assert np.abs(computed - expected).max() < 1e-3


@pytest.mark.parametrize(
    ("row", "published"), [(0, 367.48), (1, 367.4223), (369, 367.9494), (390, 368.1804)]
)
def test_session_vwap_is_that_of_skenders_suite(row: int, published: float) -> None:
    minutes = pl.read_csv(SHARED / "minute" / "SPY_2020-12-15_2020-12-18_rth.csv").with_columns(
        minute=pl.from_epoch("ts_utc_ms", time_unit="ms").dt.replace_time_zone("UTC")
    )

    values = compute(minutes, [volume.session_vwap()]).values

    assert round(values["session_vwap"][row], 4) == published


def test_the_daily_columns_follow_their_formulas() -> None:
    rows = [
        ("2014-06-02", 90.57, 92.25, 89.00, 90.0, 100.0),
        ("2014-06-03", 90.0, 91.0, 89.0, 91.0, 300.0),
        ("2014-06-04", 100.1, 101.0, 100.0, 100.1, 100.0),
    ]
    bars = pl.DataFrame(
        rows, schema=["session", "open", "high", "low", "close", "volume"], orient="row"
    ).with_columns(pl.col("session").str.to_date(), symbol=pl.lit("AAPL"))
    chosen = [
        volatility.volatility(),
        returns.daily_change(),
        returns.gap(),
        returns.rolling_average(3),
        volume.relative_volume(2),
    ]

    last = compute(bars, chosen).values.row(2, named=True)

    assert last["volatility"] == pytest.approx(1.0 / 100.1 * 100)
    assert last["daily_pct_change"] == pytest.approx(10.0)
    assert last["gap_pct"] == pytest.approx(10.0)
    assert last["rolling_avg"] == pytest.approx((90.0 + 91.0 + 100.1) / 3)
    assert last["relative_volume_2"] == pytest.approx(0.5)
