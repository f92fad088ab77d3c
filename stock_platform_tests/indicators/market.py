"""Bars for the tests of indicators: real ones, and random ones of any shape."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st

from stock_platform.domain.reference import SPLITS
from stock_platform.testing.indicators import random_daily_bars, random_minute_bars
from stock_platform_tests.shared_data import SHARED

NO_SPLITS = SPLITS.to_frame()
random_daily, same_minutes = random_daily_bars, random_minute_bars


def real_daily(name: str) -> pl.DataFrame:
    """Read a daily file of the shared market data; rows that break high and low are left out."""
    rows = pl.read_csv(SHARED / "daily" / name, try_parse_dates=True, infer_schema_length=None)
    prices = rows.select(
        "symbol",
        pl.col("date").alias("session"),
        *(pl.col(n).cast(pl.Float64) for n in ("open", "high", "low", "close", "volume")),
    ).drop_nulls()
    sound = (pl.col("high") >= pl.max_horizontal("open", "close", "low")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    return (
        prices.filter(sound).unique(["symbol", "session"], keep="first").sort("symbol", "session")
    )


def real_minutes(name: str) -> pl.DataFrame:
    """Read a minute file of the shared market data."""
    return (
        pl.read_csv(SHARED / "minute" / name)
        .with_columns(
            pl.from_epoch("ts_utc_ms", time_unit="ms")
            .dt.replace_time_zone("UTC")
            .dt.cast_time_unit("us")
            .alias("minute"),
            pl.col("volume").cast(pl.Float64),
        )
        .drop("ts_utc_ms")
    )


@st.composite
def daily_bars(draw: st.DrawFn, sessions_min: int = 2, sessions_max: int = 90) -> pl.DataFrame:
    """Draw bars of one to three symbols: gaps in sessions, flat prices, idle volume."""
    parts = [
        _drawn(draw, f"S{n}", draw(st.integers(sessions_min, sessions_max)))
        for n in range(draw(st.integers(1, 3)))
    ]
    return pl.concat(parts)


def _drawn(draw: st.DrawFn, symbol: str, count: int) -> pl.DataFrame:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    moves = generator.normal(0, draw(st.sampled_from([0.0, 0.001, 0.03])), count)
    steps = generator.integers(1, draw(st.sampled_from([2, 5])), count)
    days = [date(2020, 1, 1) + timedelta(days=int(n)) for n in np.cumsum(steps)]
    close = draw(st.sampled_from([0.02, 7.0, 180.0, 650_000.0])) * np.exp(np.cumsum(moves))
    spread = draw(st.sampled_from([0.0, 0.01]))
    idle = generator.random(count) < draw(st.sampled_from([0.0, 0.5]))
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "session": days,
            "open": close * (1 - spread / 2),
            "high": close * (1 + spread),
            "low": close * (1 - spread),
            "close": close,
            "volume": np.where(idle, 0.0, generator.integers(1, 10**7, count)),
        }
    )
