"""What can be known of the market at the simulation's time: the record as vendors would tell it.

Before the end-of-day rebuild a session shows what the feed has sent so far;
after it the final bars. Nothing is known of the future.
"""

from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.market import DAY_COLUMNS, TRUTH, Market, Split, daily_of

_LOOK_BACK = 10
"""Sessions. A symbol that did not trade for longer is returned as one without a quote."""


class PointInTimeMarket:
    """Reads the market as of the clock. Splits adjust prices the way vendors do."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self.market = market
        self.clock = clock

    def sessions(self, first: date, last: date) -> list[date]:
        """Return the sessions between two days that have begun."""
        last = min(last, self.clock.today())
        return [day for day in self.market.sessions if first <= day <= last]

    def minute_bars(self, symbol: str, session: date) -> pl.DataFrame:
        """Return one symbol's bars of a session that can be known by now (`TRUTH`)."""
        if self.clock.is_settled(session):
            return self.market.bars_of(symbol, session)
        return self._so_far(self.market.live_bars(session).filter(pl.col("symbol") == symbol))

    def session_bars(self, session: date) -> pl.DataFrame:
        """Return all bars of a session that can be known by now (`TRUTH`)."""
        if self.clock.is_settled(session):
            return self.market.minute_bars(session)
        return self._so_far(self.market.live_bars(session))

    def daily_bars(self, session: date) -> pl.DataFrame:
        """Return the daily bars of a session, so far if it has not ended."""
        if self.clock.is_settled(session):
            return self.market.daily_bars(session)
        return daily_of(self.session_bars(session), session, self.market.calendar)

    def daily_of(self, symbol: str, first: date, last: date) -> pl.DataFrame:
        """Return one symbol's daily bars between two days."""
        days = [self.daily_bars(day) for day in self.sessions(first, last)]
        if not days:
            return pl.DataFrame(schema={n: TRUTH.get(n, pl.Date()) for n in DAY_COLUMNS})
        return pl.concat(day.filter(pl.col("symbol") == symbol) for day in days)

    def latest(self, symbol: str) -> tuple[date, pl.DataFrame] | None:
        """Return the newest of the last sessions in which a symbol has traded, with its bars."""
        if not self.market.listings()["symbol"].is_in([symbol]).any():
            return None
        for session in self.sessions(date.min, date.max)[-_LOOK_BACK:][::-1]:
            bars = self.minute_bars(symbol, session)
            if bars.height:
                return session, bars
        return None

    def splits_until_now(self, symbol: str | None = None) -> list[Split]:
        today = self.clock.today()
        return [
            split
            for split in self.market.splits()
            if split.executed_on <= today and symbol in {None, split.symbol}
        ]

    def adjusted(self, bars: pl.DataFrame, day: str) -> pl.DataFrame:
        """Rescale price and volume by the splits executed after each row's `day` column.

        Past answers change on the morning a split executes, as the vendor's do.
        """
        splits = self.splits_until_now()
        if not splits or not bars.height:
            return bars
        factor = pl.lit(1.0)
        for split in splits:
            before = (pl.col("symbol") == split.symbol) & (pl.col(day) < split.executed_on)
            factor = factor * pl.when(before).then(split.ratio).otherwise(1.0)
        prices = [(pl.col(name) / factor).round(6) for name in ("open", "high", "low", "close")]
        return bars.with_columns(
            *prices,
            vwap=(pl.col("vwap") / factor).round(6),
            volume=(pl.col("volume") * factor).round(6),
        )

    def _so_far(self, messages: pl.DataFrame) -> pl.DataFrame:
        known = messages.filter(pl.col("sent_at") <= self.clock.now())
        return (
            known.sort("symbol", "minute", "sent_at")
            .unique(["symbol", "minute"], keep="last", maintain_order=True)
            .select(list(TRUTH))
        )


def known_between(bars: pl.DataFrame, first: datetime, last: datetime) -> pl.DataFrame:
    """Return the bars whose minute starts within [first, last]."""
    return bars.filter(
        pl.col("minute").is_between(
            pl.lit(first, dtype=TIMESTAMP_US), pl.lit(last, dtype=TIMESTAMP_US)
        )
    )
