"""Bars as the numbers indicators are computed from: contiguous float64 arrays.

One `BarArrays` is either one symbol's history (what TA-Lib reads) or one bar of many
symbols at once (what a state is stepped with); both have the same fields.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarArrays:
    """Equally long arrays; `session` is the day number of the bar's session."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    session: np.ndarray

    def __len__(self) -> int:
        return len(self.close)

    def part(self, rows: slice | np.ndarray) -> "BarArrays":
        """Return the bars of a slice (a view) or of an index array (a copy)."""
        return BarArrays(
            open=self.open[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            session=self.session[rows],
        )


def time_column(bars: pl.DataFrame) -> str:
    """Return the column that orders a symbol's bars: "minute" or "session"."""
    return "minute" if "minute" in bars.columns else "session"


def ordered(bars: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """Return the bars by symbol and time, and the first row of each symbol (see `starts`).

    Numbers are Float64, `session` is a date. Raises `InvalidDataError` for a null or non-finite
    number and for two bars of one key: one such row would silently spoil every later
    value of its symbol.
    """
    time = time_column(bars)
    columns = [pl.col(name).cast(pl.Float64) for name in NUMBERS]
    session = (
        pl.col("minute").dt.convert_time_zone(NEW_YORK.key).dt.date().alias("session")
        if time == "minute"
        else pl.col("session")
    )
    keys = ["symbol", "minute"] if time == "minute" else ["symbol"]
    frame = bars.select(*keys, session, *columns)
    _refuse_what_is_no_number(frame)
    edges = starts(frame)
    if not _in_order(frame, edges, time):
        frame = frame.sort("symbol", time)
        edges = starts(frame)
        if not _in_order(frame, edges, time):
            raise InvalidDataError(f"indicators need one bar per symbol and {time}, found repeats")
    return frame, edges


def _refuse_what_is_no_number(frame: pl.DataFrame) -> None:
    # A sum is finite only if all its terms are, and costs less than looking at each.
    nulls = sum(frame[name].null_count() for name in NUMBERS)
    if not nulls and all(map(math.isfinite, frame.select(pl.col(NUMBERS).sum()).row(0))):
        return
    bad = frame.select(
        pl.sum_horizontal((~pl.col(n).is_finite().fill_null(value=False)).sum() for n in NUMBERS)
    ).item()
    if bad:
        raise InvalidDataError(f"indicators need finite prices and volumes, found {bad} others")


def _in_order(frame: pl.DataFrame, edges: np.ndarray, time: str) -> bool:
    first = edges[:-1]
    # Texts are compared where a symbol begins only: millions of comparisons cost as much
    # as an indicator.
    names = frame["symbol"].gather(first)
    at = frame[time].to_physical().to_numpy()
    rising = at[1:] > at[:-1]
    rising[first[1:] - 1] = True
    return bool(rising.all()) and bool((names > names.shift()).all())


def to_bars(frame: pl.DataFrame) -> BarArrays:
    """Take the arrays out of a frame made by `ordered`."""
    numbers = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in NUMBERS}
    return BarArrays(**numbers, session=frame["session"].to_physical().to_numpy())


def starts(frame: pl.DataFrame) -> np.ndarray:
    """Return the first row of each symbol of an ordered frame, and its height at the end."""
    changed = frame.select((pl.col("symbol") != pl.col("symbol").shift()).fill_null(value=True))
    return np.append(np.flatnonzero(changed.to_series().to_numpy()), frame.height)
