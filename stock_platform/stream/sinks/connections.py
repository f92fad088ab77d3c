"""When the feed was connected and alive, per channel: the evidence for `silent` minutes.

An interval begins when a channel's subscription was confirmed and reaches to
the last instant at which its connection proved to be alive.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.stream_parts import write_connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One connection's time on one channel; `disconnected_at` is None while it lasts."""

    connection: str
    channel: str
    connected_at: datetime
    alive_until: datetime
    disconnected_at: datetime | None = None


class ConnectionLog:
    """The intervals of one writer, kept until they have ended and are stored by `save`."""

    def __init__(self, writer: str) -> None:
        self._writer = writer
        self._intervals: dict[tuple[str, str], Interval] = {}
        self._changed: set[tuple[str, str]] = set()

    @property
    def lasting(self) -> list[Interval]:
        """The intervals that have not ended, for a checkpoint."""
        return [i for i in self._intervals.values() if i.disconnected_at is None]

    def resume(self, lasting: Iterable[Interval]) -> None:
        """Go on with the intervals of a checkpoint."""
        for interval in lasting:
            self._set(interval)

    def has_open(self, connection: str) -> bool:
        """Whether any channel of `connection` is open."""
        return bool(self._lasting(connection))

    def opened(self, connection: str, channel: str, at: datetime) -> None:
        """Note that `channel` was subscribed on `connection`."""
        self._set(Interval(connection=connection, channel=channel, connected_at=at, alive_until=at))

    def alive(self, connection: str, at: datetime) -> None:
        """Note a sign of life; a later one replaces an earlier one, never back."""
        for interval in self._lasting(connection):
            if at > interval.alive_until:
                self._set(replace(interval, alive_until=at))

    def closed(self, connection: str, alive_until: datetime, at: datetime) -> None:
        """Note the end of `connection`, last known alive at `alive_until`."""
        self.alive(connection, alive_until)
        for interval in self._lasting(connection):
            self._set(replace(interval, disconnected_at=at))

    def replaced(self, connection: str, feed: str, at: datetime) -> None:
        """Note that `connection` is now the one of `feed`: an earlier one has ended.

        A reader that was killed writes no `closed` event; `alive_until` stays as it was.
        """
        for interval in self.lasting:
            if interval.connection.startswith(f"{feed}-") and interval.connection != connection:
                self._set(replace(interval, disconnected_at=at))

    def save(self, store: ObjectStore) -> None:
        """Store the intervals that changed since the last call; the lake merges them.

        A connection held over midnight is stored with every New York date it touches.
        """
        for session, frame in self._changed_by_session():
            write_connections(store, session, self._writer, frame)

    def _changed_by_session(self) -> Iterator[tuple[date, pl.DataFrame]]:
        changed, self._changed = self._changed, set()
        by_session: dict[date, list[Interval]] = {}
        for key in changed:
            interval = self._intervals[key]
            for day in _days(interval):
                by_session.setdefault(day, []).append(interval)
            if interval.disconnected_at is not None:
                del self._intervals[key]
        for day, intervals in sorted(by_session.items()):
            yield day, self._to_frame(intervals)

    def _lasting(self, connection: str) -> list[Interval]:
        return [i for i in self.lasting if i.connection == connection]

    def _set(self, interval: Interval) -> None:
        key = (interval.connection, interval.channel)
        self._intervals[key] = interval
        self._changed.add(key)

    def _to_frame(self, intervals: list[Interval]) -> pl.DataFrame:
        rows = [
            {
                "writer": self._writer,
                "connection": interval.connection,
                "channel": interval.channel,
                "connected_at": interval.connected_at,
                "alive_until": interval.alive_until,
                "disconnected_at": interval.disconnected_at,
            }
            for interval in intervals
        ]
        return pl.DataFrame(rows, schema=CONNECTIONS)


def _days(interval: Interval) -> list[date]:
    first = interval.connected_at.astimezone(NEW_YORK).date()
    last = interval.alive_until.astimezone(NEW_YORK).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
