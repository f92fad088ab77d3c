"""How the live feed sends a session: late, sometimes twice, and not always as it ends up.

A bar leaves 1-3 seconds after its minute. A late trade makes the feed send the
same minute again within 15 minutes; what arrives later still enters only the
record rebuilt after the close, which the feed never sends.
"""

import numpy as np
import polars as pl

from stock_platform.simulator.market.market import SENT

_RESENT_WITHIN_S = (5.0, 880.0)


def to_messages(
    truth: pl.DataFrame, *, rng: np.random.Generator, late: float, rebuilt: float, unsent: float
) -> pl.DataFrame:
    """Return the bar messages (`SENT`) that a feed without losses sends for `truth`."""
    size = truth.height
    chance = rng.random(size)
    is_late = chance < late
    is_rebuilt = (chance >= late) & (chance < late + rebuilt)
    is_unsent = (chance >= late + rebuilt) & (chance < late + rebuilt + unsent)
    delay = rng.uniform(1.0, 3.0, size)
    again = rng.uniform(*_RESENT_WITHIN_S, size)
    part = rng.uniform(0.55, 0.95, size)
    complete = truth.with_columns(
        day_vwap=_day_vwap(),
        accumulated=pl.col("volume").cum_sum().over("symbol").round(6),
    )
    first = _early(complete, is_late | is_rebuilt, part).with_columns(sent_at=_after(delay))
    second = complete.with_columns(sent_at=_after(delay + again)).filter(is_late)
    messages = pl.concat([first.filter(~is_unsent), second])
    return messages.select(list(SENT)).cast(SENT).sort("sent_at", maintain_order=True)


def _early(bars: pl.DataFrame, touched: np.ndarray, part: np.ndarray) -> pl.DataFrame:
    """Return what was known before the late trades: less volume, a narrower range."""
    whole = pl.col("volume") == pl.col("volume").floor()
    less = pl.col("volume") * pl.lit(pl.Series(part))
    less = pl.when(whole).then(less.floor().clip(1.0)).otherwise(less.round(6))
    top = pl.max_horizontal("open", "close")
    bottom = pl.min_horizontal("open", "close")
    here = pl.lit(pl.Series(touched))
    return bars.with_columns(
        volume=pl.when(here & (pl.col("volume") > 0)).then(less).otherwise("volume"),
        high=pl.when(here).then(top).otherwise("high"),
        low=pl.when(here).then(bottom).otherwise("low"),
        vwap=pl.when(here).then(pl.col("vwap").clip(bottom, top)).otherwise("vwap"),
        transactions=pl.when(here)
        .then((pl.col("transactions") // 2).clip(1))
        .otherwise("transactions"),
    )


def _after(seconds: np.ndarray) -> pl.Expr:
    us = pl.Series((seconds * 1e6).astype(np.int64) + 60_000_000)
    return pl.col("minute") + pl.lit(us).cast(pl.Duration("us"))


def _day_vwap() -> pl.Expr:
    price = pl.coalesce("vwap", "close")
    turnover = (price * pl.col("volume")).cum_sum().over("symbol")
    volume = pl.col("volume").cum_sum().over("symbol")
    return pl.when(volume > 0).then((turnover / volume).round(4)).otherwise(price)
