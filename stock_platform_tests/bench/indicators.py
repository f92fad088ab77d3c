"""Indicators at size, with the peers in the same run.

Each part runs in a process of its own, so that its peak memory is its own. All of
them give the same twelve indicators (sixteen columns, beside symbol and session) of
3,000 symbols and 1,763 sessions, 5.3 million rows. pandas `ta` does so for 24 symbols,
into one frame as the others, and its rate per row is what is compared. Each of the
three is repeated equally often and its best run counts: the first runs of a process
wait for memory more than they compute.

The peers do less than ours. They take finite numbers and the order of bars on trust,
`ewm_mean` starts at the first value where TA-Lib averages a warm-up first, and what a
division by zero gives stays in the column.
"""

import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from stock_platform.domain.reference import SPLITS
from stock_platform.domain.sessions import Calendar
from stock_platform.indicators import registry
from stock_platform.indicators.engine import states as state
from stock_platform.indicators.engine.arrays import starts
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.engine.sessions import compute_sessions
from stock_platform_tests.bench.report import Report

SYMBOLS, SESSIONS, TA_SYMBOLS = 3_000, 1_763, 24
REPEATS = 12
MINUTE_SYMBOLS, MINUTE_SESSIONS = 8_000, 10
NAMES = (
    "sma_20", "ema_20", "rsi_14", "macd_12_26_9", "bollinger_20_2", "atr_14", "vwap_20", "obv",
    "rolling_std_20", "daily_pct_change", "rolling_avg", "volatility",
)  # fmt: skip
EVERY = registry.choose(registry.builtin(), "daily")
TWELVE = registry.choose(registry.builtin(), "daily", NAMES)


def daily_market(symbols: int = SYMBOLS) -> pl.DataFrame:
    """Walk prices of `symbols` over 1,763 real sessions."""
    days = pl.Series("session", Calendar().sessions(date(2016, 1, 4), date(2026, 1, 1))[:SESSIONS])
    numbers = _walks(symbols, SESSIONS, 0.02)
    names = [f"S{n:04d}" for n in range(symbols)]
    return pl.DataFrame(
        {
            "symbol": pl.Series(names).gather(np.repeat(np.arange(symbols), SESSIONS)),
            "session": days.gather(np.tile(np.arange(SESSIONS), symbols)),
            **numbers,
        }
    )


def minute_market() -> pl.DataFrame:
    """Walk 31.2 million minute bars: ten full sessions of 8,000 symbols."""
    days = Calendar().sessions(date(2026, 6, 1), date(2026, 8, 1))[:MINUTE_SESSIONS]
    opening = [datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC) for day in days]
    minutes = pl.Series([start + timedelta(minutes=n) for start in opening for n in range(390)])
    names = pl.Series([f"S{n:04d}" for n in range(MINUTE_SYMBOLS)])
    return pl.DataFrame(
        {
            "symbol": names.gather(np.repeat(np.arange(MINUTE_SYMBOLS), len(minutes))),
            "minute": minutes.gather(np.tile(np.arange(len(minutes)), MINUTE_SYMBOLS)),
            **_walks(MINUTE_SYMBOLS, len(minutes), 0.001),
        }
    )


def _walks(symbols: int, bars: int, step: float) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    close = generator.standard_normal((symbols, bars), dtype=np.float32).astype(np.float64)
    close = np.exp(np.cumsum(close * step, axis=1))
    close *= generator.uniform(5, 500, (symbols, 1))
    close = np.round(close, 4).ravel()
    opened = close * (1 + step * (generator.random(close.size) - 0.5))
    return {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + step / 2),
        "low": np.minimum(opened, close) * (1 - step / 2),
        "close": close,
        "volume": np.floor(generator.exponential(1e6, close.size)) + 1,
    }


def best(times: int, work: Callable[[], object]) -> float:
    """Return the shortest of several runs: the machine is not ours alone."""
    spent: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return min(spent)


def ours() -> dict[str, float]:
    bars = daily_market()
    spent = best(REPEATS, lambda: compute(bars, TWELVE, keep_states=False))
    return {"rate": bars.height / spent, "rows": bars.height}


def whole_registry() -> dict[str, float]:
    bars = daily_market()
    return {
        "rate": bars.height / best(3, lambda: compute(bars, EVERY, keep_states=False)),
        "with_states": bars.height / best(3, lambda: compute(bars, EVERY)),
    }


def polars_expressions() -> dict[str, float]:
    bars = daily_market()
    return {"rate": bars.height / best(REPEATS, lambda: in_polars(bars))}


def in_polars(bars: pl.DataFrame) -> pl.DataFrame:
    """Compute the same columns by Polars expressions over each symbol."""
    close, high, low, volume = (pl.col(n) for n in ("close", "high", "low", "volume"))
    change, before = close.diff(), close.shift()
    gain = change.clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False)
    loss = (-change).clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False)
    ranges = pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs())
    line = close.ewm_mean(span=12, adjust=False) - close.ewm_mean(span=26, adjust=False)
    signal = line.ewm_mean(span=9, adjust=False)
    mean, deviation = close.rolling_mean(20), close.rolling_std(20, ddof=0)
    typical = (high + low + close) / 3
    columns = {
        "sma": mean,
        "ema": close.ewm_mean(span=20, adjust=False),
        "rsi": 100 * gain / (gain + loss),
        "macd": line,
        "signal": signal,
        "histogram": line - signal,
        "upper": mean + 2 * deviation,
        "middle": mean,
        "lower": mean - 2 * deviation,
        "atr": ranges.ewm_mean(alpha=1 / 14, adjust=False),
        "vwap": (typical * volume).rolling_sum(20) / volume.rolling_sum(20),
        "obv": (change.sign().fill_null(1) * volume).cum_sum(),
        "std": deviation,
        "pct": (close / before - 1) * 100,
        "average": close.rolling_mean(5),
    }
    volatility = ((high - low) / close * 100).alias("volatility")
    over = [expression.over("symbol").alias(name) for name, expression in columns.items()]
    return bars.lazy().select("symbol", "session", *over, volatility).collect()


def pandas_ta() -> dict[str, float]:
    import pandas as pd

    bars = daily_market(TA_SYMBOLS).to_pandas()

    def frame() -> pd.DataFrame:
        groups = bars.groupby("symbol", sort=False)
        done = [pd.concat(in_ta(group), axis=1, keys=range(16)) for _, group in groups]
        return pd.concat([bars[["symbol", "session"]], pd.concat(done)], axis=1)

    return {"rate": len(bars) / best(REPEATS, frame)}


def in_ta(bars: Any) -> list[Any]:
    """Compute the same columns of one symbol by the `ta` package."""
    import ta

    high, low, close, volume = (bars[n] for n in ("high", "low", "close", "volume"))
    macd = ta.trend.MACD(close)
    bands = ta.volatility.BollingerBands(close, 20, 2)
    return [
        ta.trend.SMAIndicator(close, 20).sma_indicator(),
        ta.trend.EMAIndicator(close, 20).ema_indicator(),
        ta.momentum.RSIIndicator(close, 14).rsi(),
        macd.macd(),
        macd.macd_signal(),
        macd.macd_diff(),
        bands.bollinger_hband(),
        bands.bollinger_mavg(),
        bands.bollinger_lband(),
        ta.volatility.AverageTrueRange(high, low, close, 14).average_true_range(),
        ta.volume.VolumeWeightedAveragePrice(
            high, low, close, volume, 20
        ).volume_weighted_average_price(),
        ta.volume.OnBalanceVolumeIndicator(close, volume).on_balance_volume(),
        close.rolling(20).std(ddof=0),
        close.pct_change() * 100,
        close.rolling(5).mean(),
        (high - low) / close * 100,
    ]


def one_session() -> dict[str, float]:
    bars = daily_market()
    days = bars["session"].unique().sort().to_list()
    whole = compute(bars, EVERY)
    recent = bars.filter(pl.col("session") >= days[-60])
    new, old = (
        recent.filter(pl.col("session") == days[-1]),
        recent.filter(pl.col("session") < days[-1]),
    )
    states = whole.states.filter(pl.col("session") == days[-2])
    twelve = best(15, lambda: compute(new, TWELVE, history=old, states=states))
    every = best(15, lambda: compute(new, EVERY, history=old, states=states))
    stepped = compute(new, EVERY, history=old, states=states).values
    healed = state.as_of(whole.states, days[-21])
    started = time.perf_counter()
    forward = compute_sessions(
        recent, EVERY, first=days[-20], last=days[-1], splits=SPLITS.to_frame(), states=healed
    )
    heal = time.perf_counter() - started
    return {
        "twelve": twelve,
        "every": every,
        "difference": _difference(stepped, whole.values),
        "heal": heal,
        "heal_difference": _difference(forward.values, whole.values),
    }


def _difference(some: pl.DataFrame, whole: pl.DataFrame) -> float:
    """Return the largest relative difference (absolute below one)."""
    pairs = some.join(whole, on=["symbol", "session"], suffix="_whole")
    names = [name for name in some.columns if name not in {"symbol", "session"}]
    return max(
        pairs.select(
            (
                (pl.col(n) - pl.col(f"{n}_whole")).abs()
                / pl.col(f"{n}_whole").abs().clip(lower_bound=1.0)
            ).max()
        ).item()
        for n in names
    )


def minutes() -> dict[str, float]:
    bars = minute_market()
    chosen = registry.choose(registry.builtin(), "minute", [*NAMES[:6], *NAMES[7:9], "pct_change"])
    chosen += registry.choose(registry.builtin(), "minute", ["session_vwap", "volatility"])
    started = time.perf_counter()
    done = sum(
        compute(block, chosen, keep_states=False).values.height
        for block in _in_blocks(bars, symbols_max=500)
    )
    return {"rate": done / (time.perf_counter() - started), "rows": done}


def _in_blocks(bars: pl.DataFrame, *, symbols_max: int) -> Iterator[pl.DataFrame]:
    """Cut bars sorted by symbol into frames of whole symbols, to bound memory."""
    edges = starts(bars)
    for first in range(0, len(edges) - 1, symbols_max):
        last = min(first + symbols_max, len(edges) - 1)
        yield bars.slice(int(edges[first]), int(edges[last] - edges[first]))


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "ours": ours,
    "whole_registry": whole_registry,
    "polars_expressions": polars_expressions,
    "pandas_ta": pandas_ta,
    "one_session": one_session,
    "minutes": minutes,
}


def measured(part: str) -> dict[str, float]:
    """Run one part in a process of its own; adds its peak memory in MB as `peak`."""
    command = [sys.executable, "-m", "stock_platform_tests.bench.indicators", part]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run every part and report."""
    report = Report("Indicators: 3,000 symbols x 1,763 sessions, 12 indicators in 16 columns")
    mine, every = measured("ours"), measured("whole_registry")
    expressions, pandas = measured("polars_expressions"), measured("pandas_ta")
    report.add("rows", mine["rows"] / 1e6, "M rows")
    report.add("twelve indicators", mine["rate"] / 1e6, "M rows/s", ">= 4")
    report.add("peak memory", mine["peak"], "MB", "< 2000")
    report.add("whole registry", every["rate"] / 1e6, "M rows/s")
    report.add("whole registry with states", every["with_states"] / 1e6, "M rows/s")
    report.add("polars expressions", expressions["rate"] / 1e6, "M rows/s")
    report.add("times polars expressions", mine["rate"] / expressions["rate"], "x", ">= 3")
    report.add("pandas ta, 24 symbols", pandas["rate"] / 1e6, "M rows/s")
    report.add("times pandas ta", mine["rate"] / pandas["rate"], "x", ">= 50")
    session = measured("one_session")
    report.add("one session from state, twelve", session["twelve"], "s", "< 0.2")
    report.add("one session from state, registry", session["every"], "s", "< 0.2")
    report.add("difference from full recompute", session["difference"] * 1e9, "1e-9", "< 1")
    report.add("heal of 20 sessions forward", session["heal"], "s")
    report.add("its difference", session["heal_difference"] * 1e9, "1e-9", "< 1")
    large = measured("minutes")
    report.add("minute rows", large["rows"] / 1e6, "M rows")
    report.add("minutes in blocks of 500 symbols", large["rate"] / 1e6, "M rows/s")
    report.add("peak memory of minutes", large["peak"], "MB", "< 5000")
    report.finish()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        warnings.simplefilter("ignore")
        found = PARTS[sys.argv[1]]()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "peak": peak}))
    else:
        main()
