"""Daily bars made from minute bars: they follow from them, and are made anew when these change.

A made bar is no claim of a vendor and comes after every vendor's. Made again with other
values it is observed then: of the minutes behind it some may be gone.
"""

from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, VALUE_COLUMNS
from stock_platform.domain.claims import retractions
from stock_platform.domain.revision import FROM_MINUTES, Revision
from stock_platform.domain.sessions import Calendar
from stock_platform.healing.aggregate import from_minutes
from stock_platform.lake import read, write
from stock_platform.pipelines.context import LakeContext

_KEY = ["symbol", "session"]


def make_daily_bars(context: LakeContext, day: date, *, now: datetime) -> None:
    """Make the daily bars of a session from its minutes; safe to repeat."""
    minutes = read.minute_bars(context.store, day)
    regular = Calendar(overrides=context.calendar.overrides).grid(day)
    made = from_minutes(minutes, regular)
    own = (pl.col("session") == day) & (pl.col("provider") == FROM_MINUTES)
    before = read.daily_bars(context.store, day.year, day.year).filter(own)
    was = before.select(*_KEY, *VALUE_COLUMNS, pl.col("observed_at").alias("was_at"))
    stale = made.join(was, on=_KEY).filter(
        pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(f"{name}_right")) for name in VALUE_COLUMNS
        )
        & (pl.col("observed_at") <= pl.col("was_at"))
    )
    again = pl.when(pl.col("symbol").is_in(stale["symbol"].implode())).then(pl.lit(now))
    made = made.with_columns(again.otherwise("observed_at").alias("observed_at"))
    gone = retractions(
        DAILY_BARS,
        before.join(made, on=_KEY, how="anti"),
        provider=FROM_MINUTES,
        revision=Revision.LIVE.value,
        at=now,
    )
    if made.height or gone.height:
        write.publish_daily_bars(context.store, made.cast(DAILY_BARS), retracted=gone)


def remake_daily_bars(context: LakeContext, day: date, *, now: datetime) -> None:
    """Make the daily bars of a session again, where any were made before."""
    rows = read.daily_bars(context.store, day.year, day.year)
    if rows.filter(pl.col("session") == day).height:
        make_daily_bars(context, day, now=now)
