"""Sessions of the New York exchanges and the minutes each of them should have.

A session is the exchange's date, not UTC's. Its minutes stand on a fixed grid
of slots (390 regular, 960 with extended hours) counted from the nominal start
in New York, so that the same slot is the same wall-clock minute on every day;
half-days and late openings simply expect fewer of the slots.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from stock_platform.domain import xnys
from stock_platform.errors import InvalidDataError

NEW_YORK = ZoneInfo("America/New_York")
_OPEN = time(9, 30)
_NORMAL_CLOSE = time(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteGrid:
    """The minutes of one session: `width` slots, of which [first, end) are expected."""

    session: date
    starts_at: datetime
    """UTC instant of slot 0: 09:30 New York, or 04:00 with extended hours."""
    width: int
    first: int
    end: int

    @property
    def expected(self) -> int:
        return self.end - self.first

    @property
    def opens_at(self) -> datetime:
        return self.minute(self.first)

    @property
    def closes_at(self) -> datetime:
        """The instant after the last expected minute."""
        return self.minute(self.end)

    def minute(self, slot: int) -> datetime:
        return self.starts_at + timedelta(minutes=slot)

    def slot(self, minute: datetime) -> int:
        """Return the slot of an instant; raise `InvalidDataError` when it is off the grid."""
        slot = (minute - self.starts_at) // timedelta(minutes=1)
        if not 0 <= slot < self.width:
            raise InvalidDataError(f"{minute:%Y-%m-%d %H:%M} UTC is not a minute of {self.session}")
        return slot

    def slots_within(self, since: datetime, until: datetime) -> tuple[int, int]:
        """Return the slots whose minutes start within, both included; last < first: none."""
        minute = timedelta(minutes=1)
        first = -((self.starts_at - since) // minute)
        last = (until - self.starts_at) // minute
        return max(first, 0), max(min(last, self.width - 1), -1)

    def closed_slots(self, now: datetime, grace_s: float) -> int:
        """Return the end of the slots whose minute had closed `grace_s` before `now`."""
        ended = (now - timedelta(seconds=grace_s) - self.starts_at) // timedelta(minutes=1)
        return max(self.first, min(self.end, ended))


@dataclass(frozen=True, slots=True)
class Overrides:
    """Closures and early closes announced after the calendar library was released."""

    closed: frozenset[date] = frozenset()
    early_closes: Mapping[date, time] = field(default_factory=dict[date, time])

    @classmethod
    def from_file(cls, path: Path) -> "Overrides":
        """Read YAML `closed: [2025-01-09]`, `early_closes: {2026-11-27: "13:00"}`."""
        try:
            content = dict[str, Any](yaml.safe_load(path.read_text()) or {})
            closed = frozenset(_day(day) for day in content.pop("closed", None) or ())
            early = {
                _day(day): _early_close(clock)
                for day, clock in dict[Any, Any](content.pop("early_closes", None) or {}).items()
            }
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise InvalidDataError(f"calendar overrides {path}: {error}") from error
        if content:
            raise InvalidDataError(
                f"calendar overrides {path}: unknown {sorted(map(str, content))}"
            )
        return cls(closed, early)


def _day(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _early_close(value: object) -> time:
    # YAML 1.1 reads an unquoted 13:00 as the number 780: base 60.
    if isinstance(value, int):
        value = f"{value // 60:02d}:{value % 60:02d}"
    clock = time.fromisoformat(str(value))
    if clock.tzinfo or clock.second or clock.microsecond or not _OPEN < clock < _NORMAL_CLOSE:
        raise ValueError(f"an early close is between 09:30 and 16:00 New York, found {value}")
    return clock


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are sessions of XNYS and which minutes each has.

    Regular hours (390 minutes), or with `extended` 04:00 to 20:00 New York (960).

        calendar = sp.Calendar()
        calendar.sessions(date(2026, 11, 23), date(2026, 11, 27))
        calendar.grid(date(2026, 11, 27)).closes_at
    """

    extended: bool = False
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def width(self) -> int:
        return 960 if self.extended else 390

    def sessions(self, first: date, last: date) -> list[date]:
        """Return the sessions from `first` to `last`, both included."""
        if max(first, last) > xnys.LAST:
            raise InvalidDataError(
                f"the calendar is kept until {xnys.LAST}: `make calendar` extends it"
            )
        days = _session_dates()
        found = days[bisect_left(days, first) : bisect_right(days, last)]
        return [day for day in found if day not in self.overrides.closed]

    def is_session(self, day: date) -> bool:
        return self.sessions(day, day) == [day]

    def closed_days(self, first: date, last: date) -> list[date]:
        """Return the days from Monday to Friday on which the exchange is closed."""
        open_days = set(self.sessions(first, last))
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [day for day in days if day.weekday() < 5 and day not in open_days]

    def grid(self, session: date) -> MinuteGrid:
        """Return the minute grid of a session; raise `InvalidDataError` when it is none."""
        if not self.is_session(session):
            raise InvalidDataError(f"{session} is not a session of XNYS")
        opens, closes = _special_hours().get(session, (_OPEN, _NORMAL_CLOSE))
        close = self.overrides.early_closes.get(session, closes)
        if not self.extended:
            start = datetime.combine(session, _OPEN, NEW_YORK)
            first = max(0, _minutes(start, datetime.combine(session, opens, NEW_YORK)))
            end = _minutes(start, datetime.combine(session, close, NEW_YORK))
        else:
            start = datetime.combine(session, time(4), NEW_YORK)
            # After-hours run to 20:00, on a half-day to 17:00.
            last = time(20) if close >= _NORMAL_CLOSE else time(17)
            first, end = 0, _minutes(start, datetime.combine(session, last, NEW_YORK))
        return MinuteGrid(
            session=session,
            starts_at=start.astimezone(UTC),
            width=self.width,
            first=first,
            end=min(end, self.width),
        )

    def session_of(self, minute: datetime) -> date:
        """Return the New York date of an instant; it need not be a session."""
        return minute.astimezone(NEW_YORK).date()

    def minute_labels(self) -> list[str]:
        """Return the wall-clock name of every slot: "09:30" to "15:59", or "04:00" to "19:59"."""
        start = 4 * 60 if self.extended else 9 * 60 + 30
        return [f"{m // 60:02d}:{m % 60:02d}" for m in range(start, start + self.width)]

    def slot_of_label(self, label: str) -> int:
        hours, minutes = label.split(":")
        return int(hours) * 60 + int(minutes) - (4 * 60 if self.extended else 9 * 60 + 30)

    def latest_closed(self, now: datetime) -> date:
        """Return the newest session whose last expected minute is over at `now`."""
        today = now.astimezone(NEW_YORK).date()
        for day in reversed(self.sessions(today - timedelta(days=14), today)):
            if self.grid(day).closes_at <= now:
                return day
        raise InvalidDataError(f"no session has closed in the 14 days before {today}")

    def previous(self, session: date, count: int = 1) -> date:
        """Return the session `count` (at least 1) sessions before `session`."""
        span = self.sessions(session - timedelta(days=count * 2 + 14), session - timedelta(days=1))
        if not 1 <= count <= len(span):
            raise InvalidDataError(f"no session is {count} sessions before {session}")
        return span[-count]


def _minutes(start: datetime, end: datetime) -> int:
    return int((end.astimezone(UTC) - start.astimezone(UTC)).total_seconds() // 60)


@lru_cache(maxsize=1)
def _session_dates() -> list[date]:
    closed = {day for day, _ in _days_of(xnys.CLOSED)}
    days = (xnys.FIRST + timedelta(days=n) for n in range((xnys.LAST - xnys.FIRST).days + 1))
    return [day for day in days if day.weekday() < 5 and day not in closed]


@lru_cache(maxsize=1)
def _special_hours() -> dict[date, tuple[time, time]]:
    """Return open and close, New York, of the sessions that keep other hours."""
    return {day: (_clock(hours[:4]), _clock(hours[5:])) for day, hours in _days_of(xnys.SPECIAL)}


def _days_of(text: str) -> Iterator[tuple[date, str]]:
    for line in text.split("\n"):
        year, *words = line.split() or [""]
        for word in words:
            yield date(int(year), int(word[:2]), int(word[2:4])), word[5:]


def _clock(text: str) -> time:
    return time(int(text[:2]), int(text[2:]))
