"""What a simulated market is: the truth of every session, and how vendors derive a day from it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Protocol

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.domain.sessions import NEW_YORK, Calendar

TRUTH = pl.Schema(
    {
        "symbol": pl.String(),
        "minute": TIMESTAMP_US,
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "vwap": pl.Float64(),
        "volume": pl.Float64(),
        "transactions": pl.Int64(),
    }
)
"""One row per minute that traded, as the record stands after the close; sorted by key.
Nullable: vwap, transactions (recorded files do not have them)."""

SENT = pl.Schema(
    {**TRUTH, "accumulated": pl.Float64(), "day_vwap": pl.Float64(), "sent_at": TIMESTAMP_US}
)
"""One row per bar message of the live feed, in the order sent. A (symbol, minute) occurs
twice when the bar was sent again; `accumulated` and `day_vwap` are the day so far."""


DAY_COLUMNS = ["symbol", "session", *list(TRUTH)[2:]]

LISTINGS = pl.Schema(
    {
        "symbol": pl.String(),
        "name": pl.String(),
        "type": pl.String(),
        "exchange": pl.String(),
        "listed_on": pl.Date(),
        "delisted_on": pl.Date(),
        "security": pl.String(),
        "figi": pl.String(),
        "listed_from": pl.Date(),
        "absent_on": pl.List(pl.Date()),
        "list_date": pl.Date(),
        "changed_on": pl.Date(),
    }
)
"""One row per time in which a security had a symbol and traded, [listed_on, delisted_on).

The list has it from `listed_from` on but for the days `absent_on`; details give `list_date`, and
events say that the symbol is its own since `changed_on`. `figi` null: the vendor has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """`split_from` old shares became `split_to` new ones before trading on `executed_on`."""

    symbol: str
    executed_on: date
    split_from: float
    split_to: float

    @property
    def ratio(self) -> float:
        return self.split_to / self.split_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Dividend:
    symbol: str
    ex_on: date
    paid_on: date
    amount: float
    frequency: int = 4


class Market(Protocol):
    """The truth behind every simulated vendor. Sessions do not depend on each other."""

    @property
    def calendar(self) -> Calendar: ...

    @property
    def sessions(self) -> tuple[date, ...]: ...

    def listings(self) -> pl.DataFrame:
        """Return every time a security had a symbol, as `LISTINGS`, by symbol and time."""
        ...

    def minute_bars(self, session: date) -> pl.DataFrame:
        """Return the final bars of a session as `TRUTH`; empty for a session it does not have."""
        ...

    def live_bars(self, session: date) -> pl.DataFrame:
        """Return the bar messages of a session as `SENT`, before any scripted loss."""
        ...

    def daily_bars(self, session: date) -> pl.DataFrame:
        """Return one row per symbol that traded in regular hours, as `DAY_COLUMNS`."""
        ...

    def bars_of(self, symbol: str, session: date) -> pl.DataFrame:
        """Return one symbol's rows of `minute_bars`."""
        ...

    def splits(self) -> tuple[Split, ...]: ...

    def dividends(self) -> tuple[Dividend, ...]: ...


def with_identity(listings: pl.DataFrame) -> pl.DataFrame:
    """Fill what rows of `LISTINGS` leave open: each symbol is a security of its own, all right."""
    security = pl.coalesce("security", "symbol") if "security" in listings else pl.col("symbol")
    rows = listings.with_columns(security=security)
    figis = pl.Series("figi", [figi_of(name) for name in rows["security"]], dtype=pl.String)
    absent = [name for name in LISTINGS if name not in rows.columns and name != "figi"]
    rows = rows.with_columns(pl.lit(None, LISTINGS[name]).alias(name) for name in absent)
    return rows.with_columns(
        figis if "figi" not in rows.columns else pl.col("figi"),
        pl.col("list_date").fill_null(pl.col("listed_on").min().over("security")),
        pl.col("changed_on").fill_null(pl.col("listed_on")),
    ).select(list(LISTINGS))


def figi_of(security: str, kind: str = "composite") -> str:
    """Return a made-up FIGI of a security: BBG and nine letters or digits."""
    digest = hashlib.sha256(f"{kind} {security}".encode()).digest()
    letters = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
    return "BBG00" + "".join(letters[byte % len(letters)] for byte in digest[:7])


def listed(market: Market, on: date) -> list[str]:
    """Return the symbols listed on a day, sorted."""
    rows = market.listings().filter(
        (pl.col("listed_on").is_null() | (pl.col("listed_on") <= on))
        & (pl.col("delisted_on").is_null() | (pl.col("delisted_on") > on))
    )
    return rows["symbol"].to_list()


def regular_hours(calendar: Calendar, session: date) -> tuple[datetime, datetime]:
    """Return the instants the regular session opens and closes, whatever the calendar's grid."""
    grid = Calendar(extended=False, overrides=calendar.overrides).grid(session)
    return grid.opens_at, grid.closes_at


def daily_of(bars: pl.DataFrame, session: date, calendar: Calendar) -> pl.DataFrame:
    """Make daily bars as vendors do: prices of regular hours, volume of all hours."""
    opens, closes = regular_hours(calendar, session)
    regular = (pl.col("minute") >= opens) & (pl.col("minute") < closes)
    weighted = (pl.col("vwap") * pl.col("volume")).sum() / pl.col("volume").sum()
    days = bars.group_by("symbol", maintain_order=True).agg(
        pl.lit(session).alias("session"),
        pl.col("open").filter(regular).first(),
        pl.col("high").filter(regular).max(),
        pl.col("low").filter(regular).min(),
        pl.col("close").filter(regular).last(),
        weighted.round(4).alias("vwap"),
        pl.col("volume").sum().round(6),
        pl.when(pl.col("transactions").count() > 0).then(pl.col("transactions").sum()),
    )
    return days.filter(pl.col("open").is_not_null()).select(DAY_COLUMNS)


def at_new_york(day: date, clock: time) -> datetime:
    """Return the instant of a New York wall-clock time, in UTC."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)
