"""A lake with its settings: what it should hold, and what is known of each session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

import numpy as np

from stock_platform.domain.coverage import SessionCoverage, universe_digest
from stock_platform.domain.responses import with_authority
from stock_platform.domain.sessions import NEW_YORK, Calendar, MinuteGrid
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.derive import carry_history, derive, presume_empty
from stock_platform.healing.retry import RetrySchedule
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import read, stream_parts
from stock_platform.lake.append_log import read_responses
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.pipelines.universe.expected import UniverseBySession
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

    def universe_now(self) -> UniverseBySession:
        """Return the universe of every session from the tables as they are now, read once."""
        return UniverseBySession.load(self.store, self.market)

    def universe_digest(self, session: date) -> str:
        """Return the digest of what the session should hold now; see `universe_digest`."""
        return self.universe_now().digest(self.calendar.grid(session))

    def universe(self, session: date) -> list[str]:
        """Return the symbols expected on a session, sorted; see `universe_on`."""
        return self.universe_now().on(session)

    def coverage(self, grid: MinuteGrid) -> SessionCoverage:
        """Return a session's coverage, derived from evidence where none is stored."""
        symbols = self.universe(grid.session)
        stored = coverage_table.load(self.store, grid)
        if stored is None or set(stored.symbols) != set(symbols):
            return carry_history(self.derive(grid, symbols), stored)
        streamed = stream_parts.bars_in_parts(self.store, grid.session)
        if streamed.height:
            # What the stream brought since is added: deriving a session anew at every look,
            # for one part of one bar, took 3.5 s and 1.3 GB.
            if not stored.has_observed(streamed):
                # A bar of a part may be withdrawn: only reading all of them shows it.
                columns = ["symbol", "minute"]
                stored.rebuild_observed(read.minute_bars(self.store, grid.session, columns))
            self._presume_empty(stored)
        return stored

    def keep_for_universe(self, coverage: SessionCoverage) -> None:
        """Store a session's coverage where the stored one was made for something else.

        Without it a session that needs nothing after a change of the watchlist, the hours or
        the calendar would be derived again at every look, and count what is not expected.
        """
        grid = coverage.grid
        stored = coverage_table.summaries(self.store, [grid.session])
        if stored["universe"].to_list() != [universe_digest(coverage.symbols, grid)]:
            coverage_table.update(
                self.store, grid, lambda now: carry_history(coverage, now), due=grid.end
            )

    def derive(self, grid: MinuteGrid, symbols: Sequence[str] | None = None) -> SessionCoverage:
        """Derive a session's coverage from bars, connection log and provider responses."""
        if symbols is None:
            symbols = self.universe(grid.session)
        coverage = derive(
            grid,
            symbols,
            bars=read.minute_bars(self.store, grid.session, ["symbol", "minute"]),
            connections=stream_parts.read_connections(self.store, grid.session),
            responses=with_authority(read_responses(self.store, grid.session)),
            policy=self.policy,
        )
        coverage.bits["silent"] &= self._subscribed(coverage)[:, None]
        return coverage

    def _presume_empty(self, coverage: SessionCoverage) -> None:
        """Add the minutes of `coverage` that the connection log shows to be empty."""
        known = SessionCoverage.blank(coverage.grid, coverage.symbols)
        presume_empty(known, stream_parts.read_connections(self.store, coverage.session))
        coverage.bits["silent"] |= known.bits["silent"] & self._subscribed(coverage)[:, None]

    def _subscribed(self, coverage: SessionCoverage) -> np.ndarray:
        """Return bool[symbols]: of whom the stream's silence is evidence.

        The stream subscribes to the watchlist: it states nothing of their other symbols.
        """
        watched = self.market.symbols
        if watched is None:
            return np.ones(len(coverage.symbols), dtype=bool)
        # By a set: `np.isin` compares each of 8,000 names with every other, for 2 s.
        names = frozenset(watched)
        return np.array([symbol in names for symbol in coverage.symbols], dtype=bool)


def universe_on(store: ObjectStore, session: date, market: MarketSettings) -> list[str]:
    """Return the symbols expected on a session, sorted.

    A watchlist is expected as it is, but for symbols whose delisting is dated before the
    session, and with the other symbols that its securities had: a snapshot of the listed
    symbols can lack one that trades, and the provider's answer decides. The whole market is
    whoever was listed on the session or had bars there; without a snapshot this raises
    `PermanentError` with the remedy. For many sessions load a `UniverseBySession` once.
    """
    return UniverseBySession.load(store, market).on(session)
