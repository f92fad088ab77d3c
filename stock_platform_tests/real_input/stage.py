"""A lake, a simulated vendor and the real providers and healer between them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from stock_platform.cli.demo.feed import Recorder
from stock_platform.domain.bars import PRICE
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.scheduling import HealRange, heal_range_of
from stock_platform.lake import read
from stock_platform.lake.object_store import open_store
from stock_platform.lake.stream_parts import compact
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Healer, HealResult
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.settings import (
    FinnhubSettings,
    HealingSettings,
    LakeSettings,
    MarketSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
    Settings,
)
from stock_platform.simulator.server import Simulator
from stock_platform.stream.sinks.minutes import MinuteWriter

VALUES = ("open", "high", "low", "close", "volume")
ROW = ("symbol", "minute", *VALUES)
FREE_PLAN = 5
"""Requests a minute: every range call costs 12 s, so any file is cheaper."""


class Clock:
    """The time that providers and healer believe; a test moves it on."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(frozen=True)
class Vendor:
    """What is used of a simulated vendor, and with how much patience."""

    simulator: Simulator
    rest: bool = True
    files: bool = False
    candles: Simulator | None = None
    """Finnhub, played by another simulation: a second vendor with its own data."""
    requests_per_minute: int = 0
    attempts_max: int = 2

    def settings(self, lake_context: LakeContext, lake: Path) -> Settings:
        keys = self.simulator.keys
        return Settings.from_env().replaced(
            massive=MassiveSettings.model_validate(
                {
                    "api_key": keys.massive[0] if self.rest else "",
                    "rest_url": self.simulator.rest_url,
                    "requests_per_minute": self.requests_per_minute,
                    "flatfiles_url": self.simulator.flatfiles_url,
                    "flatfiles_access_key": keys.flatfiles[0] if self.files else "",
                    "flatfiles_secret_key": "any",
                }
            ),
            finnhub=FinnhubSettings.model_validate(
                {
                    "api_key": self.candles.keys.finnhub[0] if self.candles else "",
                    "rest_url": self.candles.finnhub_url if self.candles else "",
                    "candles": self.candles is not None,
                }
            ),
            rapid=RapidSettings.model_validate({"key": ""}),
            requests=RequestSettings.model_validate(
                {
                    "budget": str(lake / ".requests" / "budget.sqlite"),
                    "attempts_max": self.attempts_max,
                    "retry_backoff_s": 0.01,
                    "retry_wait_max_s": 0.5,
                    "budget_wait_max_s": 0.5,
                    "max_concurrent_requests": 4,
                }
            ),
            market=lake_context.market,
            healing=lake_context.healing,
            lake=LakeSettings(lake=str(lake)),
        )


@dataclass
class Platform:
    """One lake and who fills it."""

    folder: Path
    vendor: Vendor
    symbols: tuple[str, ...]
    extended: bool = True
    clock: Clock = field(default_factory=Clock)
    healing: dict[str, Any] = field(default_factory=dict)

    @property
    def lake_context(self) -> LakeContext:
        return LakeContext(
            open_store(LakeSettings.model_validate({"lake": str(self.folder)})),
            MarketSettings.model_validate(
                {"symbols": ",".join(self.symbols), "extended_hours": self.extended}
            ),
            HealingSettings.model_validate(self.healing),
        )

    @contextmanager
    def providers(self) -> Iterator[Providers]:
        settings = self.vendor.settings(self.lake_context, self.folder)
        with open_providers(settings, clock=self.clock) as opened:
            yield opened

    @contextmanager
    def healer(self) -> Iterator[Healer]:
        with self.providers() as opened:
            yield Healer(
                context=self.lake_context,
                providers=opened,
                max_concurrent_requests=4,
                clock=self.clock,
            )

    def grid(self, session: date) -> MinuteGrid:
        return self.lake_context.calendar.grid(session)

    def stream(self) -> Recorder:
        """Bring the whole simulated feed to the lake, as the sidecar would."""
        simulator, lake_context = self.vendor.simulator, self.lake_context
        recorder = Recorder(
            url=simulator.ws_url_realtime,
            control_url=simulator.rest_url,
            key=simulator.keys.massive[0],
            writer=MinuteWriter(lake_context.store, lake_context.calendar, "test"),
        )
        recorder.record()
        return recorder

    def need(self, session: date) -> HealRange | None:
        """Return what the gap sensor would ask for."""
        lake_context = self.lake_context
        return heal_range_of(
            lake_context.coverage(self.grid(session)),
            self.clock(),
            grace_s=lake_context.grace_s,
            backoff=lake_context.policy.retry,
            settle=lake_context.policy.settle,
        )

    def heal(self, session: date) -> HealResult:
        """Do what the gap sensor's run does for a whole session."""
        with self.healer() as healer:
            return _heal(healer, session)

    def settle(self, session: date, *, since: datetime | None = None) -> HealResult:
        """Do what `session_bars` does once the session has settled, or at `since`."""
        with self.healer() as healer:
            return _settle(healer, session, since)

    def heal_all(self, sessions: Sequence[date]) -> None:
        """Heal and settle every session, newest first."""
        with self.healer() as healer:
            for session in reversed(sessions):
                _heal(healer, session)
                _settle(healer, session)

    def totals(self, session: date) -> dict[str, int]:
        return self.lake_context.coverage(self.grid(session)).totals()

    def held(self, session: date) -> pl.DataFrame:
        """Return the rows in the lake, by symbol and minute."""
        return read.minute_bars(self.lake_context.store, session, list(ROW))

    def kept_apart(self, session: date) -> pl.DataFrame:
        """Return the rows of minutes outside the lake's hours, by symbol and minute."""
        return read.table(self.lake_context.store, "off_hours_bars", session).select(list(ROW))


def _heal(healer: Healer, session: date) -> HealResult:
    grid = healer.context.calendar.grid(session)
    return healer.heal(grid, 0, grid.width - 1, now=healer.clock(), only_ready=True)


def _settle(healer: Healer, session: date, since: datetime | None = None) -> HealResult:
    grid = healer.context.calendar.grid(session)
    compact(healer.store, session)
    settled_at = grid.closes_at + healer.context.policy.settle
    return healer.settle(grid, now=healer.clock(), since=since or settled_at)


def truth(simulator: Simulator, session: date) -> pl.DataFrame:
    """Return the rows the simulated market says are final, in the types of the lake."""
    bars = simulator.market.minute_bars(session).select(ROW)
    return bars.with_columns(pl.col(VALUES).cast(PRICE)).sort("symbol", "minute")


def asked_of(simulator: Simulator) -> Counter[str]:
    """Count the requests answered so far, by endpoint."""
    return Counter(simulator.stats()["requests"])
