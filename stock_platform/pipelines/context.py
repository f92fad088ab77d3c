"""A lake with its settings: what it should hold, and what is known of each session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

import polars as pl

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.sessions import NEW_YORK, Calendar, MinuteGrid
from stock_platform.errors import PermanentError
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.derive import carry_history, derive
from stock_platform.healing.retry import RetrySchedule
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import read, stream_parts
from stock_platform.lake.append_log import read_responses
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import HealingSettings, MarketSettings, Settings


@dataclass(frozen=True, slots=True)
class LakeContext:
    """One lake, read with the settings that define what it should hold."""

    store: ObjectStore
    market: MarketSettings
    healing: HealingSettings

    @classmethod
    def from_settings(cls, settings: Settings, *, store: ObjectStore | None = None) -> Self:
        """Open the lake that `settings` name, or use the opened `store`.

        Raise `PermanentError` naming the variable that is wrong.
        """
        opened = store if store is not None else open_store(settings.lake)
        return cls(opened, settings.market, settings.healing)

    @classmethod
    def from_env(cls) -> Self:
        """Open the lake that the environment names; for entry points: `LakeContext.from_env()`."""
        return cls.from_settings(Settings.from_env(read_secret))

    @property
    def calendar(self) -> Calendar:
        return self.market.calendar()

    @property
    def policy(self) -> SettlementPolicy:
        return SettlementPolicy(
            timedelta(minutes=self.healing.settle_minutes),
            RetrySchedule.from_minutes(self.healing.backoff_minutes),
        )

    @property
    def grace_s(self) -> float:
        return self.healing.grace_minutes * 60

    def sessions(self, now: datetime) -> list[date]:
        """Return the sessions the lake should hold as of `now`, today's included, oldest first."""
        first, last = self.market.span(now.astimezone(NEW_YORK).date())
        return self.calendar.sessions(first, last)

    def expected_count(self, session: date) -> int:
        """Count the symbols expected on a session."""
        return len(self.universe(session))

    def universe(self, session: date) -> list[str]:
        """Return the symbols expected on a session, sorted; see `universe_on`."""
        return universe_on(self.store, session, self.market)

    def coverage(self, grid: MinuteGrid) -> SessionCoverage:
        """Return a session's coverage, derived from evidence where none is stored."""
        symbols = self.universe(grid.session)
        stored = coverage_table.load(self.store, grid)
        fresh_parts = bool(stream_parts.live_parts(self.store, grid.session))
        if stored is not None and not fresh_parts and set(stored.symbols) == set(symbols):
            return stored
        return carry_history(self.derive(grid, symbols), stored)

    def derive(self, grid: MinuteGrid, symbols: Sequence[str] | None = None) -> SessionCoverage:
        """Derive a session's coverage from bars, connection log and provider responses."""
        if symbols is None:
            symbols = self.universe(grid.session)
        return derive(
            grid,
            symbols,
            bars=read.minute_bars(self.store, grid.session, ["symbol", "minute"]),
            connections=stream_parts.read_connections(self.store, grid.session),
            responses=read_responses(self.store, grid.session),
            policy=self.policy,
        )


def universe_on(store: ObjectStore, session: date, market: MarketSettings) -> list[str]:
    """Return the symbols expected on a session, sorted.

    Listed means: in the newest snapshot of `reference/symbols` taken on or before
    the session (else the oldest one after it), and not outside its listing dates.
    A watchlist needs no snapshot; the whole market does, and without one this
    raises `PermanentError` with the remedy.
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
