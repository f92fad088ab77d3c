"""The replay of the live feed: one clock, every reader of both hosts, the scripted losses."""

import asyncio
import random
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from picows import WSCloseCode

from stock_platform.simulator.data_loss import Window, windows
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.market import Market, at_new_york
from stock_platform.simulator.scenario import Scenario, minute_of_day
from stock_platform.simulator.vendors.finnhub.socket import FinnhubClientSession
from stock_platform.simulator.vendors.massive.channels import EVERY_SYMBOL, Channels, to_texts
from stock_platform.simulator.vendors.massive.socket import TOO_MANY, ClientSession

RESENDS_WITHIN = timedelta(minutes=16)
_MINUTE = timedelta(minutes=1)
_STEP_S = 0.1
"""At a numeric speed events leave in steps of this much real time."""
_REJOIN_S = 30.0
_PATIENCE_S = 120.0
_CATCH_UP_S = 5.0


class LiveFeed:
    """Replays sessions to whoever is subscribed. Lives in one event loop."""

    def __init__(self, market: Market, scenario: Scenario, clock: Clock, seed: int) -> None:
        self.scenario = scenario
        self.readers: list[ClientSession] = []
        self.finnhub_readers: list[FinnhubClientSession] = []
        self.changed = asyncio.Event()
        self.start_requested = asyncio.Event()
        self.finished = asyncio.Event()
        self.is_down = False
        self.events_sent = 0
        self._market = market
        self._clock = clock
        self._seed = seed
        self._random = random.Random(seed)
        self._channels = Channels(market, scenario.feed, seed)
        self._strikes = 0

    @property
    def sessions(self) -> tuple[date, ...]:
        wanted = self.scenario.feed.sessions
        return self._market.sessions if wanted is None else wanted

    async def run(self) -> None:
        """Replay every session, then set `finished`; readers stay connected."""
        await self._begin()
        for nth, session in enumerate(self.sessions):
            await self._replay(session, first=nth == 0)
        await self._catch_up()
        self.finished.set()

    def admit(self, newcomer: ClientSession) -> None:
        """Count a subscribed reader in; dismiss one when the account has too many."""
        same = [reader for reader in self.readers if reader.key == newcomer.key]
        if len(same) > self.scenario.plan.connections_max:
            evict = self.scenario.plan.evict
            victims = {"newest": newcomer, "oldest": same[0]}
            victim = victims.get(evict) or self._random.choice(same)
            victim.dismiss(TOO_MANY, WSCloseCode.POLICY_VIOLATION)
            self.readers.remove(victim)
        self.changed.set()

    def is_dropped(self) -> bool:
        """Decide by the seed whether the next frame is lost on its way."""
        return self._random.random() < self.scenario.feed.frames_dropped

    def strike_once(self, reader: ClientSession) -> None:
        """Cut a reader off as scripted, unless that has happened often enough."""
        if self._strikes < self.scenario.feed.close_count:
            self._strikes += 1
            reader.cut(self.scenario.feed.close_kind)

    def strike(self, kind: str) -> None:
        """Cut every reader off now."""
        for rival in list(self.finnhub_readers):
            rival.hang_up()
        for reader in list(self.readers):
            reader.cut(kind)
            if kind != "silent":
                self.readers.remove(reader)

    def _everyone(self) -> list[ClientSession | FinnhubClientSession]:
        return [*self.readers, *self.finnhub_readers]

    async def _begin(self) -> None:
        start = self.scenario.feed.start
        if start == "told":
            await self.start_requested.wait()
        elif start == "subscribed":
            await self._audience(self.scenario.feed.wait_for)

    async def _audience(self, count: int, patience_s: float | None = None) -> None:
        """Wait until `count` readers are subscribed; after the patience one is enough."""
        try:
            async with asyncio.timeout(patience_s):
                while sum(reader.is_subscribed for reader in self._everyone()) < count:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            await self._audience(min(count, 1))

    async def _replay(self, session: date, *, first: bool) -> None:
        begins, ends = self._span(session, first=first)
        outages = windows(self.scenario.feed, session)
        if session in self.scenario.feed.lost_sessions:
            outages = [Window(begins, ends, "reset")]
        else:
            await asyncio.to_thread(self._market.live_bars, session)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for now, until in self._steps(begins, ends):
            away = [window for window in outages if window.starts_at < until <= window.ends_at]
            await self._set_away(away[0] if away else None)
            if not away:
                await self._audience_at_max_speed()
                self._send(session, now, until)
            self._clock.advance(until)
            await self._pace(started, until - begins)
        await self._set_away(None)

    async def _set_away(self, window: Window | None) -> None:
        """Enter or leave an outage; whoever comes back while it lasts is turned away."""
        down = window is not None and window.kind != "silent"
        if window is not None and down and not self.is_down:
            await self._catch_up()
            self.strike(window.kind)
        self.is_down = down

    async def _catch_up(self) -> None:
        """At full speed, let every reader take what was sent before something ends."""
        if self.scenario.feed.speed == "max":
            readers = list(self.readers)
            await asyncio.gather(*(reader.caught_up(_CATCH_UP_S) for reader in readers))

    async def _pace(self, started: float, replayed: timedelta) -> None:
        """Wait for the readers at full speed, for the time to come at a numeric one."""
        speed = self.scenario.feed.speed
        if speed == "max":
            for reader in self._everyone():
                await reader.drained(_PATIENCE_S)
            await asyncio.sleep(0)
        else:
            due = started + replayed.total_seconds() / speed
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    def _span(self, session: date, *, first: bool) -> tuple[datetime, datetime]:
        grid = self._market.calendar.grid(session)
        begins = grid.opens_at
        clock = self.scenario.feed.from_minute
        if first and clock is not None:
            minute = minute_of_day(clock)
            begins = at_new_york(session, time(minute // 60, minute % 60))
        behind = timedelta(minutes=self.scenario.feed.delay_minutes)
        return begins, grid.closes_at + RESENDS_WITHIN + behind

    def _steps(self, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, datetime]]:
        speed = self.scenario.feed.speed
        step = _MINUTE if speed == "max" else min(_MINUTE, timedelta(seconds=_STEP_S * speed))
        now = begins
        while now < ends:
            # A step never crosses a minute, so that outages begin and end on one.
            boundary = now.replace(second=0, microsecond=0) + _MINUTE
            until = min(now + step, boundary, ends)
            yield now, until
            now = until

    async def _audience_at_max_speed(self) -> None:
        """Without a reader the clock stands still, or a reconnect would miss whole sessions."""
        feed = self.scenario.feed
        waits = feed.speed == "max" and feed.start == "subscribed"
        if waits and not any(reader.is_subscribed for reader in self._everyone()):
            await self._audience(feed.wait_for, _REJOIN_S)

    def _send(self, session: date, now: datetime, until: datetime) -> None:
        behind = timedelta(minutes=self.scenario.feed.delay_minutes)
        every: dict[tuple[bool, str], list[str]] = {}
        for reader in list(self.readers):
            span = (now - behind, until - behind) if reader.delayed else (now, until)
            for name, symbols in list(reader.subscribed.items()):
                if EVERY_SYMBOL not in symbols:
                    rows = self._channels.events(session, name, span, sorted(symbols))
                    reader.send(to_texts(rows), self.scenario.feed.events_per_frame)
                    continue
                key = (reader.delayed, name)
                if key not in every:
                    every[key] = to_texts(self._channels.events(session, name, span, None))
                reader.send(every[key], self.scenario.feed.events_per_frame)
        for reader in list(self.finnhub_readers):
            rows = self._channels.events(session, "T", (now, until), sorted(reader.symbols))
            reader.send(rows)
