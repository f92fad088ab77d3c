"""Days, grids and bars that the tests of the domain and of healing speak about."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.sessions import Calendar, MinuteGrid

DAY = date(2026, 11, 19)
HALF_DAY = date(2026, 11, 27)
REGULAR = Calendar()
EXTENDED = Calendar(extended=True)
GRID = REGULAR.grid(DAY)


def at(clock: str, day: date = DAY) -> datetime:
    """Return the UTC instant of a UTC wall clock, "14:30" or "14:30:05"."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


def raw_bars(count: int) -> pl.DataFrame:
    """Give `count` flawless raw rows of one symbol, a minute apart."""
    return pl.DataFrame(
        {
            "symbol": ["A"] * count,
            "minute": [GRID.minute(slot) for slot in range(count)],
            "open": [10.0] * count,
            "high": [12.0] * count,
            "low": [9.0] * count,
            "close": [11.0] * count,
            "vwap": [10.5] * count,
            "volume": [100.25] * count,
            "transactions": [7] * count,
            "provider": ["massive"] * count,
            "revision": ["rest"] * count,
            "observed_at": [at("15:00")] * count,
        }
    )


def bars_of(cells: Iterable[tuple[str, int]], grid: MinuteGrid = GRID) -> pl.DataFrame:
    """Return one bar for each (symbol, slot)."""
    pairs = list(cells)
    return pl.DataFrame(
        {
            "symbol": [symbol for symbol, _ in pairs],
            "minute": [grid.starts_at + timedelta(minutes=slot) for _, slot in pairs],
            **{name: [value] * len(pairs) for name, value in _BAR.items()},
        },
        schema=bars.MINUTE_BARS,
    )


_BAR = bars.validate_bars(raw_bars(1), bars.MINUTE_BARS, dataset="minute_bars").bars.row(
    0, named=True
)
del _BAR["symbol"], _BAR["minute"]
