"""A lake with its settings: what it should hold, and what is known of each session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

import polars as pl

from stock_platform.domain.coverage import SessionCoverage, universe_digest
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

    def universe_digest(self, session: date) -> str:
        """Return the digest of what the session should hold now; see `universe_digest`."""
        return universe_digest(self.universe(session), self.calendar.grid(session))

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

    def keep_for_universe(self, coverage: SessionCoverage) -> None:
        """Store a session's coverage where the stored one was made for other symbols.

        Without it a session that needs nothing after a change of the watchlist would be
        derived again at every look.
        """
        grid = coverage.grid
        stored = coverage_table.load(self.store, grid)
        if stored is not None and set(stored.symbols) != set(coverage.symbols):
            coverage_table.update(
                self.store, grid, lambda now: carry_history(coverage, now), due=grid.end
            )

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

    A watchlist is expected as it is, but for symbols with a known delisting before the
    session: a snapshot of the listed symbols can lack one that is listed, renamed or relisted
    since, and the provider's answer decides. The whole market is
    what the newest snapshot on or before the session lists (else the oldest one after it);
    without a snapshot this raises `PermanentError` with the remedy.
    """
    if market.symbols is not None:
        return sorted(set(market.symbols) - _delisted_symbols(store, session))
    listed = listed_symbols(store, session)
    if listed is None:
        raise PermanentError(
            "STOCKS_SYMBOLS is * but reference/symbols is empty: materialize it first"
        )
    return sorted(listed)


def _snapshot_for(store: ObjectStore, session: date) -> pl.DataFrame | None:
    """Return the newest snapshot of listed symbols up to a session, else the oldest after it."""
    taken = sorted(read.sessions_present(store, "reference_symbols"))
    if not taken:
        return None
    day = max((day for day in taken if day <= session), default=taken[0])
    return read.table(store, "reference_symbols", day)


def _delisted_symbols(store: ObjectStore, session: date) -> set[str]:
    table = _snapshot_for(store, session)
    if table is None:
        return set()
    return set(table.filter(pl.col("delisted_on") <= session)["symbol"])


def listed_symbols(store: ObjectStore, session: date) -> set[str] | None:
    """Return the symbols listed on a session; None when no snapshot was ever taken."""
    table = _snapshot_for(store, session)
    if table is None:
        return None
    alive = (pl.col("listed_on").is_null() | (pl.col("listed_on") <= session)) & (
        pl.col("delisted_on").is_null() | (pl.col("delisted_on") > session)
    )
    return set(table.filter(alive)["symbol"])
