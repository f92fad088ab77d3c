"""When the response of a REST provider stops changing."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar


@dataclass(frozen=True, slots=True)
class RevisionPolicy:
    """A response is final when it was requested `settle` after the session's last minute."""

    calendar: Calendar
    settle: timedelta = timedelta(minutes=20)

    def of_minutes(self, session: date, asked_at: datetime) -> Revision:
        return self._of(self.calendar.grid(session).closes_at, asked_at)

    def of_day(self, session: date, asked_at: datetime) -> Revision:
        """Return the revision of a daily bar, whose volume grows until the after-hours end."""
        return self._of(self._with(extended=True).grid(session).closes_at, asked_at)

    def regular_close(self, session: date) -> datetime:
        return self._with(extended=False).grid(session).closes_at

    def latest_closed(self, now: datetime) -> date:
        """Return the newest session whose regular hours are over."""
        return self._with(extended=False).latest_closed(now)

    def _with(self, *, extended: bool) -> Calendar:
        return replace(self.calendar, extended=extended)

    def _of(self, closed_at: datetime, asked_at: datetime) -> Revision:
        return Revision.FINAL if asked_at >= closed_at + self.settle else Revision.REST
