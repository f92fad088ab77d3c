"""What the lake knows of a session, without asking anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.sessions import NEW_YORK, Calendar, MinuteGrid
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.derive import carry_history, derive
from stock_platform.healing.retry import RetrySchedule
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import read, stream_parts
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.responses import read_responses
from stock_platform.pipelines.universe import universe_on
from stock_platform.settings import HealingSettings, MarketSettings


@dataclass(frozen=True, slots=True)
class LakeContext:
    """One lake, read with the settings that say what it should hold."""

    store: ObjectStore
    market: MarketSettings
    healing: HealingSettings

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
        return len(universe_on(self.store, session, self.market))

    def coverage(self, grid: MinuteGrid) -> SessionCoverage:
        """Return what is known of a session, derived from evidence where no ledger is stored."""
        symbols = universe_on(self.store, grid.session, self.market)
        stored = coverage_table.load(self.store, grid)
        fresh_parts = bool(stream_parts.live_parts(self.store, grid.session))
        if stored is not None and not fresh_parts and set(stored.symbols) == set(symbols):
            return stored
        return carry_history(self.derive(grid, symbols), stored)

    def derive(self, grid: MinuteGrid, symbols: Sequence[str] | None = None) -> SessionCoverage:
        """Rebuild a session's ledger from rows, connection log and answers."""
        if symbols is None:
            symbols = universe_on(self.store, grid.session, self.market)
        return derive(
            grid,
            symbols,
            bars=read.minute_bars(self.store, grid.session, ["symbol", "minute"]),
            connections=stream_parts.read_connections(self.store, grid.session),
            responses=read_responses(self.store, grid.session),
            policy=self.policy,
        )
