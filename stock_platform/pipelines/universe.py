"""Which symbols a session should hold: the settings, narrowed to what was listed."""

from datetime import date

import polars as pl

from stock_platform.errors import PermanentError
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.settings import MarketSettings


def universe_on(store: ObjectStore, session: date, market: MarketSettings) -> list[str]:
    """Return the symbols expected on a session, sorted.

    Listed means: in the newest snapshot of `reference/symbols` taken on or before
    the session (else the oldest one after it), and not outside its listing dates.
    A watchlist needs no snapshot; the whole market does, and without one this
    raises `Permanent` saying what to do.
    """
    listed = listed_symbols(store, session)
    if market.symbols is None:
        if listed is None:
            raise PermanentError(
                "STOCKS_SYMBOLS is * but reference/symbols is empty: materialize it first"
            )
        return sorted(listed)
    if listed is None:
        return sorted(market.symbols)
    return sorted(symbol for symbol in market.symbols if symbol in listed)


def listed_symbols(store: ObjectStore, session: date) -> set[str] | None:
    """Return the symbols listed on a session; None when no snapshot was ever taken."""
    taken = sorted(read.sessions_present(store, "reference_symbols"))
    if not taken:
        return None
    snapshot = max((day for day in taken if day <= session), default=taken[0])
    table = read.table(store, "reference_symbols", snapshot)
    alive = (pl.col("listed_on").is_null() | (pl.col("listed_on") <= session)) & (
        pl.col("delisted_on").is_null() | (pl.col("delisted_on") > session)
    )
    return set(table.filter(alive)["symbol"])
