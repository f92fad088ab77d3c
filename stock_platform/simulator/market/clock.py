"""What time it is in the simulation: one instant that REST, files and sockets agree on."""

import threading
from datetime import UTC, date, datetime, time, timedelta

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.market.market import Market, at_new_york, regular_hours
from stock_platform.simulator.scenario import MarketScenario, instant_of

SETTLED_AFTER = timedelta(minutes=20)
"""After the close the record is rebuilt; from then on REST returns the final bars."""
_PUBLISHED = time(11)
_MODES = ("end", "replay", "wall")


class Clock:
    """The simulation's time. The replay moves `replayed` on; `now` follows the script."""

    def __init__(self, scenario: MarketScenario, market: Market) -> None:
        self._mode = scenario.now
        self._fixed = None if scenario.now in _MODES else instant_of(scenario.now)
        self._market = market
        self._lock = threading.Lock()
        first = market.sessions[0] if market.sessions else date(2026, 11, 19)
        last = market.sessions[-1] if market.sessions else first
        self._replayed = at_new_york(first, time(0))
        # The next night: the record is final, the flat files are out, the market is closed.
        self._end = at_new_york(last + timedelta(days=1), time(21))

    @property
    def replayed(self) -> datetime:
        """The instant the replay has reached."""
        with self._lock:
            return self._replayed

    def advance(self, instant: datetime) -> None:
        """Move the replay on; time never goes back."""
        with self._lock:
            self._replayed = max(self._replayed, instant)

    def now(self) -> datetime:
        if self._fixed is not None:
            return self._fixed
        if self._mode == "replay":
            return self.replayed
        return datetime.now(UTC) if self._mode == "wall" else self._end

    def today(self) -> date:
        return self.now().astimezone(NEW_YORK).date()

    def is_settled(self, session: date) -> bool:
        """Whether the end-of-day rebuild of a session is done."""
        calendar = self._market.calendar
        _, closes = regular_hours(calendar, session)
        return self.now() >= max(closes, calendar.grid(session).closes_at) + SETTLED_AFTER

    def is_published(self, session: date) -> bool:
        """Whether the flat files of a session are out: 11:00 New York on the next day."""
        return self.now() >= at_new_york(session + timedelta(days=1), _PUBLISHED)
