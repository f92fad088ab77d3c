"""Daily bars: made from minutes, missed by a vendor, proven absent by all of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, TIMESTAMP_US
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid

FROM_MINUTES = "minute_bars"
"""The provider of a daily bar made from minute bars."""

DAILY_RESPONSES = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        "provider": pl.String(),
        "outcome": pl.String(),
        "detail": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""Who was asked for a daily bar and had none: outcome is `absent`, `rejected`, `refused` or
`failed`. Key (symbol, session, provider). A bar is proven absent once all providers say so."""

DAILY_RESPONSES_KEY = ("symbol", "session", "provider")


def from_minutes(bars: pl.DataFrame, grid: MinuteGrid) -> pl.DataFrame:
    """Make the session's daily bars from its minute bars, in `DAILY_BARS`.

    Prices come from regular hours only, volume and transactions from all minutes given,
    as vendors do. The revision is `live`; symbols without a
    regular minute have no row. `grid` is the regular grid of the session.
    """
    regular = pl.col("minute").is_between(grid.opens_at, grid.closes_at, closed="left")
    prices = (
        bars.filter(regular)
        .sort("symbol", "minute")
        .group_by("symbol", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
        )
    )
    totals = bars.group_by("symbol").agg(
        pl.col("volume").sum(),
        pl.col("transactions").sum().replace(0, None),
        pl.col("observed_at").max(),
    )
    return (
        prices.join(totals, on="symbol")
        .with_columns(
            pl.lit(grid.session).alias("session"),
            pl.lit(None).alias("vwap"),
            pl.lit(FROM_MINUTES).alias("provider"),
            # The provider's own daily row must win over one we made: never above live.
            pl.lit(Revision.LIVE.value).alias("revision"),
        )
        .select(list(DAILY_BARS))
        .cast(DAILY_BARS)
    )


def absent(
    expected: pl.DataFrame,
    bars: pl.DataFrame,
    responses: pl.DataFrame,
    providers: Collection[str],
    *,
    now: datetime,
    retry_after_s: float,
) -> pl.DataFrame:
    """Return the (symbol, session) of `expected` that lack a provider's bar and may be asked for.

    Left out is what every one of `providers` has answered for: `absent` for good,
    anything else until `retry_after_s` later. A bar asked for on the evening of its
    session has not the whole volume yet: until a final one came, it counts as long.
    """
    key = ["symbol", "session"]
    age_s = (pl.lit(now) - pl.col("observed_at")).dt.total_seconds()
    final = pl.col("revision").cast(pl.String).is_in(["final", "correction"])
    held = (pl.col("provider") != FROM_MINUTES) & (final | (age_s < retry_after_s))
    known = bars.filter(held).select(key)
    done = (
        responses.filter(
            pl.col("provider").is_in(sorted(providers))
            & ((pl.col("outcome") == "absent") | (age_s < retry_after_s))
        )
        .group_by(key)
        .agg(pl.col("provider").n_unique().alias("said"))
        .filter(pl.col("said") >= len(providers))
        .select(key)
    )
    return (
        expected.select(key)
        .join(known, on=key, how="anti")
        .join(done, on=key, how="anti")
        .sort("session", "symbol")
    )


@dataclass(frozen=True, slots=True)
class Span:
    """Sessions `first` to `last` of one symbol, both included."""

    symbol: str
    first: date
    last: date


def spans(pairs: pl.DataFrame) -> list[Span]:
    """Return one span per symbol over its absent sessions: one range call each."""
    grouped = pairs.group_by("symbol").agg(
        pl.col("session").min().alias("first"), pl.col("session").max().alias("last")
    )
    return [Span(*row) for row in grouped.sort("symbol").iter_rows()]
