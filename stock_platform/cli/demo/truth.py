"""Compare the lake with the simulator's truth, bar by bar."""

from collections.abc import Iterable
from datetime import date

import polars as pl

from stock_platform.domain.bars import PRICE
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.simulator.market.market import Market

_VALUES = ("open", "high", "low", "close", "volume")


def mismatched(store: ObjectStore, market: Market, sessions: Iterable[date]) -> int:
    """Count the bars that the lake lacks, has too many or has with other values."""
    return sum(_differences(store, market, session) for session in sessions)


def _differences(store: ObjectStore, market: Market, session: date) -> int:
    columns = ["symbol", "minute", *_VALUES]
    held = read.minute_bars(store, session).select(columns)
    true = market.minute_bars(session).select("symbol", "minute", pl.col(_VALUES).cast(PRICE))
    both = held.join(true, on=["symbol", "minute"], how="full", suffix="_true", coalesce=True)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_true")) for name in _VALUES)
    return both.filter(~same).height
