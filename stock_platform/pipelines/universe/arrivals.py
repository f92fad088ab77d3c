"""Bars that arrive for somebody nobody expected: kept, counted, and expected from then on.

A list of symbols lacks who was listed this morning, was renamed, or is on the record alone.
In a lake of the whole market their bars widen the universe of the session. A watchlist names
what is wanted: in a file of the whole market bars of others are counted and left out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from stock_platform.domain.reference import UNEXPECTED_SYMBOLS
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.settings import MarketSettings


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Bars as they came, split by whether the lake keeps them."""

    kept: pl.DataFrame
    unexpected: int
    """Bars of symbols that were not expected, kept or not."""
    symbols: list[str]
    """Symbols that are expected from now on."""


def admit(
    store: ObjectStore,
    market: MarketSettings,
    session: date,
    bars: pl.DataFrame,
    *,
    expected: Collection[str],
) -> Arrivals:
    """Decide on the bars of one session; record whom they show to have traded unexpectedly.

    `bars` needs symbol and provider, `expected` is the session's universe. Safe to repeat.
    """
    named = pl.Series("symbol", list(expected), dtype=pl.String)
    known = pl.col("symbol").is_in(named.implode())
    others = bars.lazy().filter(~known).group_by("symbol").agg(
        pl.len().cast(pl.Int64).alias("bars"), pl.col("provider").min()
    ).collect().sort("symbol")  # fmt: skip
    if not others.height:
        return Arrivals(bars, 0, [])
    count = int(others["bars"].sum())
    if market.symbols is not None:
        return Arrivals(bars.filter(known), count, [])
    record(store, session, others)
    return Arrivals(bars, count, others["symbol"].to_list())


def record(store: ObjectStore, session: date, others: pl.DataFrame) -> None:
    """Record symbols (with bars and provider) as traded on a session, once each."""
    rows = others.with_columns(observed_at=pl.lit(datetime.now(UTC))).select(
        pl.col(name).cast(dtype) for name, dtype in UNEXPECTED_SYMBOLS.items()
    )

    def widened(stored: pl.DataFrame) -> pl.DataFrame:
        # Of a symbol the first record stays, so that repeating changes nothing.
        return pl.concat([stored, rows]).unique("symbol", keep="first").sort("symbol")

    write.update_table(store, "unexpected_symbols", session, widened, key=("symbol",))


def record_held(
    store: ObjectStore, market: MarketSettings, session: date, expected: Collection[str]
) -> None:
    """Record whoever has bars in the lake and is not expected: the stream's, for example.

    For the whole market only; reads one column pair of the session.
    """
    if market.symbols is None:
        held = read.minute_bars(store, session, ["symbol", "provider"])
        admit(store, market, session, held, expected=expected)
