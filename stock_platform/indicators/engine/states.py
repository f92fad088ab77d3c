"""States between sessions: the little that recursive indicators need of the past.

A frame of states has one row per symbol and session: symbol, session, `last` (the time of
the last bar in it) and the state columns, prices and volumes in the scale of `session`.
Beside a session's values lies the newest state of every symbol as of that
session; a healed session is recomputed forward from the state before it.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.indicators.indicator import Indicator, Unit
from stock_platform.indicators.splits import rescale


def as_of(states: pl.DataFrame, session: date) -> pl.DataFrame:
    """Return the newest state of each symbol up to `session`.

    A symbol without a bar in `session` keeps the state, and the scale, of its last one.
    """
    return (
        states.filter(pl.col("session") <= session)
        .sort("symbol", "session")
        .unique("symbol", keep="last", maintain_order=True)
    )


def in_scale_of(
    states: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    session: date,
    indicators: Sequence[Indicator],
) -> pl.DataFrame:
    """Carry states over the splits executed up to `session`; exact, nothing is recomputed."""
    return rescale(states, splits, as_of=session, units=state_units(indicators))


def state_units(indicators: Sequence[Indicator]) -> dict[str, Unit]:
    """Return the unit of every state column."""
    return {column.name: column.unit for i in indicators for column in i.state}


def value_units(indicators: Sequence[Indicator]) -> dict[str, Unit]:
    """Return the unit of every output column."""
    return {column.name: column.unit for i in indicators for column in i.columns}
