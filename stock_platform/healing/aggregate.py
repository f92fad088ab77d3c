"""What follows from minute bars: daily bars of a session, and quotes of minutes nobody polled.

A quote of a past minute cannot be requested any more, but its price follows from the
bars: the last trade and the day so far. The same for a day whose daily bar no vendor
has; which of them had none is kept, so that "proven absent" is never requested again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, TIMESTAMP_US
from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.domain.revision import FROM_MINUTES, Revision, of_record
from stock_platform.domain.sessions import MinuteGrid

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
"""Which provider had no daily bar: outcome is `absent`, `rejected`, `refused` or `failed`.
Key (symbol, session, provider). A bar is proven absent once all providers lack it."""

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
    record: Collection[str] | None = None,
) -> pl.DataFrame:
    """Return the (symbol, session) of `expected` that lack the record's bar and may be requested.

    Left out is what every one of `providers` has responded for: `absent` for good,
    anything else until `retry_after_s` later. A bar requested on the evening of its
    session has not the whole volume yet: until a final one came, it counts as long, and so
    does a bar of a provider that is not of `record` until every one of record had none.
    """
    key = ["symbol", "session"]
    record = sorted(of_record(providers) if record is None else record)
    age_s = (pl.lit(now) - pl.col("observed_at")).dt.total_seconds()
    answered = responses.filter((pl.col("outcome") == "absent") | (age_s < retry_after_s))
    without_record = _of_all(answered, record)
    final = pl.col("revision").cast(pl.String).is_in(["final", "correction"])
    of_vendor = bars.filter(pl.col("provider") != FROM_MINUTES)
    held = of_vendor.filter((age_s < retry_after_s) | (final & pl.col("provider").is_in(record)))
    filled = of_vendor.join(without_record, on=key, how="semi")
    return (
        expected.select(key)
        .join(pl.concat([held.select(key), filled.select(key)]), on=key, how="anti")
        .join(_of_all(answered, providers), on=key, how="anti")
        .sort("session", "symbol")
    )


def _of_all(answered: pl.DataFrame, providers: Collection[str]) -> pl.DataFrame:
    """Return the (symbol, session) that every one of `providers` is among the answers for."""
    return (
        answered.filter(pl.col("provider").is_in(sorted(providers)))
        .group_by("symbol", "session")
        .agg(pl.col("provider").n_unique().alias("responded"))
        .filter(pl.col("responded") >= len(providers))
        .select("symbol", "session")
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


def rebuild(bars: pl.DataFrame, minute: datetime, observed_at: datetime) -> pl.DataFrame:
    """Return the quotes of `minute` that a session's `bars` support, in `RAW_QUOTES`.

    price is the close of the last bar up to and including `minute`, quoted_at the end
    of that bar; open, high and low are the day's so far. Symbols without a bar yet have no row.
    """
    so_far = bars.filter(pl.col("minute") <= minute).sort("symbol", "minute")
    return (
        so_far.group_by("symbol", maintain_order=True)
        .agg(
            pl.col("close").last().alias("price"),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            (pl.col("minute").last() + pl.duration(minutes=1)).alias("quoted_at"),
        )
        .with_columns(
            pl.lit(minute).alias("minute"),
            pl.lit(None).alias("previous_close"),
            pl.lit(None).alias("bid"),
            pl.lit(None).alias("ask"),
            pl.lit(FROM_MINUTES).alias("provider"),
            pl.lit(observed_at).alias("observed_at"),
        )
        .select(list(RAW_QUOTES))
        .cast(RAW_QUOTES)
    )


def slots_without(quotes: pl.DataFrame, bars: pl.DataFrame, minutes: list[datetime]) -> list[int]:
    """Return the indices of `minutes` for which bars would give more quotes than are held."""
    begun = bars.group_by("symbol").agg(pl.col("minute").min().alias("begun_at"))
    # A symbol may be quoted and not traded: it must not stand in for one that was.
    counted = (
        quotes.select("symbol", "minute")
        .join(begun, on="symbol")
        .filter(pl.col("begun_at") <= pl.col("minute"))
    )
    held = dict(counted.group_by("minute").agg(pl.col("symbol").n_unique()).iter_rows())
    starts = begun["begun_at"].sort()
    possible = starts.search_sorted(pl.Series(minutes, dtype=starts.dtype), side="right")
    return [
        index
        for index, (minute, symbols) in enumerate(zip(minutes, possible, strict=True))
        if held.get(minute, 0) < symbols
    ]
