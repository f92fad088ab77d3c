"""Bars for the benches with the entropy of real ones: bytes per bar depend on it.

Prices walk in cents (tenths of a cent below one dollar) from log-normal starts,
VWAP has four decimals, volume is log-normal per symbol and U-shaped over the
day, fractional in a third of the bars (as since 2026-02), and illiquid symbols
trade in few minutes.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.sessions import Calendar

SESSION = date(2026, 11, 19)
OBSERVED = datetime(2026, 11, 20, 16, 5, tzinfo=UTC)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def symbols(count: int) -> list[str]:
    """Give distinct symbols of four letters, sorted."""
    step = 26**4 // count
    return [
        "".join(_LETTERS[n * step // 26**place % 26] for place in (3, 2, 1, 0))
        for n in range(count)
    ]


def session_bars(
    count: int = 8_000,
    *,
    session: date = SESSION,
    revision: str = "final",
    density: float | None = 1.0,
    seed: int = 7,
) -> pl.DataFrame:
    """Return a session of `count` symbols as `MINUTE_BARS`, sorted by symbol and minute.

    `density` 1.0 gives every minute of every symbol (3.1M rows for 8,000), None
    gives each symbol its own liquidity: about 1.1M rows for 8,000 symbols.
    """
    grid = Calendar().grid(session)
    random = np.random.default_rng(seed)
    width = grid.expected
    walk = _prices(random, count, width)
    busy = random.lognormal(7.5, 2.2, count)[:, None]
    shape = 0.6 + 1.8 * (np.linspace(-1, 1, width) ** 2)
    volume = np.maximum(1, busy * shape * random.lognormal(0, 0.9, (count, width)) / 10)
    whole = random.random((count, width)) < 0.67
    volume = np.where(whole, np.ceil(volume), np.round(volume, 4))
    chance = np.full(count, density) if density is not None else _liquidity(busy[:, 0])
    traded = random.random((count, width)) < chance[:, None]
    row, slot = np.nonzero(traded)
    start = int(grid.starts_at.timestamp()) * 1_000_000
    cells = {name: value[row, slot] for name, value in walk.items()}
    return _frame(
        {
            "symbol": pl.Series(symbols(count)).gather(row),
            "minute": start + (slot + grid.first) * 60_000_000,
            **cells,
            "volume": volume[row, slot],
            "transactions": np.ceil(volume[row, slot] / random.uniform(20, 120, len(row))).astype(
                int
            ),
        },
        revision,
        OBSERVED,
    )


def live_minutes(bars: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut a session into what the sidecar writes: one frame per minute, sorted by symbol."""
    late = timedelta(seconds=62.5)
    return [
        minute.with_columns(
            pl.lit("live").cast(MINUTE_BARS["revision"]).alias("revision"),
            (pl.col("minute") + late).alias("observed_at"),
            pl.lit(None, pl.Int64).alias("transactions"),
        )
        for minute in bars.partition_by("minute", maintain_order=True)
    ]


def _prices(random: np.random.Generator, count: int, width: int) -> dict[str, np.ndarray]:
    start = np.exp(random.normal(3.2, 1.3, count))[:, None]
    tick = np.where(start < 1, 0.0001, 0.01)
    sigma = start * random.uniform(0.0003, 0.002, count)[:, None]
    close = start + np.cumsum(random.normal(0, 1, (count, width)) * sigma, axis=1)
    close = np.maximum(np.round(close / tick) * tick, tick)
    opened = np.roll(close, 1, axis=1)
    opened[:, 0] = close[:, 0]
    reach = np.abs(random.normal(0, 0.6, (2, count, width))) * sigma
    high = np.maximum(opened, close) + np.round(reach[0] / tick) * tick
    low = np.maximum(np.minimum(opened, close) - np.round(reach[1] / tick) * tick, tick)
    low = np.minimum(low, np.minimum(opened, close))
    vwap = np.round(low + (high - low) * random.uniform(0.2, 0.8, (count, width)), 4)
    return {"open": opened, "high": high, "low": low, "close": close, "vwap": vwap}


def _liquidity(busy: np.ndarray) -> np.ndarray:
    return np.clip(busy / 6_000, 0.01, 1.0)


def _frame(
    columns: dict[str, pl.Series | np.ndarray], revision: str, observed_at: datetime
) -> pl.DataFrame:
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.col("minute").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            pl.lit("massive").alias("provider"),
            pl.lit(revision).alias("revision"),
            pl.lit(observed_at).alias("observed_at"),
        )
        .select(list(MINUTE_BARS))
        .cast(MINUTE_BARS)
    )
