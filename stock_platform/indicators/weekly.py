"""How each symbol did in a week: return from open to close, range from low to high."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.splits import adjust

PERFORMANCE = pl.Schema(
    {
        "symbol": pl.String(),
        "week": pl.Date(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Float64(),
        "return_pct": pl.Float64(),
        "range_pct": pl.Float64(),
        "sessions": pl.Int64(),
        "sessions_expected": pl.Int64(),
    }
)
"""`week` is its Monday. return_pct = (close / open - 1) * 100 and range_pct = (high - low)
/ open * 100 share one base, so a return is never larger than its range. Prices are in the
shares of the week's last session. Without a bar in the week the figures are null and
`sessions` is 0."""


@dataclass(frozen=True, slots=True)
class Week:
    """A calendar week and the sessions the exchange held in it (four in a holiday week)."""

    monday: date
    sessions: tuple[date, ...]

    @classmethod
    def of(cls, calendar: Calendar, day: date) -> "Week":
        """Return the week from Monday to Sunday that `day` lies in."""
        monday = day - timedelta(days=day.weekday())
        return cls(monday, tuple(calendar.sessions(monday, monday + timedelta(days=6))))

    @property
    def friday(self) -> date:
        return self.monday + timedelta(days=4)

    @property
    def last(self) -> date:
        """The session in whose shares the week is expressed."""
        return self.sessions[-1] if self.sessions else self.friday


def weekly_performance(
    bars: pl.DataFrame, splits: pl.DataFrame, week: Week, symbols: Sequence[str]
) -> pl.DataFrame:
    """Return one row of `PERFORMANCE` per symbol of the watchlist, by symbol.

    `bars` are raw daily bars (domain.bars.DAILY_BARS), others than the week's are
    passed over. A symbol traded on some sessions only is measured over those.
    """
    wanted = pl.DataFrame({"symbol": sorted(set(symbols))}, schema={"symbol": pl.String()})
    inside = bars.filter(pl.col("session").is_in(list(week.sessions)))
    traded = adjust(inside, splits, as_of=week.last).sort("symbol", "session")
    summary = traded.group_by("symbol").agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        pl.len().cast(pl.Int64).alias("sessions"),
    )
    return (
        wanted.join(summary, on="symbol", how="left")
        .with_columns(
            pl.lit(week.monday).alias("week"),
            pl.col("sessions").fill_null(0),
            pl.lit(len(week.sessions), pl.Int64).alias("sessions_expected"),
            ((pl.col("close") / pl.col("open") - 1) * 100).alias("return_pct"),
            ((pl.col("high") - pl.col("low")) / pl.col("open") * 100).alias("range_pct"),
        )
        .select(list(PERFORMANCE))
        .cast(PERFORMANCE)
        .sort("symbol")
    )


@dataclass(frozen=True, slots=True)
class Mover:
    """A symbol and its weekly return."""

    symbol: str
    return_pct: float


def best_and_worst(performance: pl.DataFrame) -> tuple[Mover, Mover] | None:
    """Return the symbols of the highest and the lowest return; None when nothing traded.

    Among equals the first in the alphabet is named; a single symbol is both.
    """
    traded = performance.drop_nulls("return_pct")
    if not traded.height:
        return None
    best = traded.sort(["return_pct", "symbol"], descending=[True, False]).row(0, named=True)
    worst = traded.sort(["return_pct", "symbol"]).row(0, named=True)
    return (
        Mover(best["symbol"], best["return_pct"]),
        Mover(worst["symbol"], worst["return_pct"]),
    )
