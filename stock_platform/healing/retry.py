"""When a failed request is made again: waits grow from minutes to days and end in an alert."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The waits after the first, second, ... failed attempt; after the last one: exhausted."""

    waits: tuple[timedelta, ...]

    @classmethod
    def from_minutes(cls, minutes: tuple[float, ...]) -> "RetrySchedule":
        return cls(tuple(timedelta(minutes=value) for value in minutes))

    def exhausted(self, failures: int) -> bool:
        return failures > len(self.waits)

    def next_at(self, failures: int, now: datetime) -> datetime | None:
        """Return when to try again after `failures` failures; None when exhausted."""
        if failures <= 0:
            return now
        return None if self.exhausted(failures) else now + self.waits[failures - 1]
