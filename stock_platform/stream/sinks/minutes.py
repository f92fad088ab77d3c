"""Minute bars from the stream into the lake: one immutable part per closed minute.

A late trade makes the feed send the same minute again; the newest one wins.
Minutes outside the lake's hours go to a table of their own (`lake.off_hours`).
When the minute's part is already in the lake, the resend goes into a
further part: the lake names parts so that the same bars again are the same part
and other bars never collide.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS, validate_bars
from stock_platform.domain.rejections import reject
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import NEW_YORK, Calendar, MinuteGrid
from stock_platform.lake import off_hours
from stock_platform.lake.append_log import record_rejected
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.stream_parts import write_live_minute
from stock_platform.stream.events import Bar

PROVIDER = "massive_stream"
DATASET = "minute_bars_live"
MINUTE = timedelta(minutes=1)
RESENDS_WAIT = timedelta(minutes=3)
DAYS_KNOWN_MAX = 64
_RAW = {
    "symbol": pl.String(),
    **dict.fromkeys(("open", "high", "low", "close", "vwap", "volume"), pl.String()),
    "provider": pl.String(),
    "revision": pl.String(),
    "minute": MINUTE_BARS["minute"],
    "observed_at": MINUTE_BARS["observed_at"],
}


class _Received(NamedTuple):
    minute: datetime | None
    bar: Bar
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenMinute:
    """One part that is now in the lake."""

    session: date
    minute: datetime
    bars: int
    uri: str


class MinuteWriter:
    """Holds the bars of minutes not yet written and writes them when they close.

    Everything is safe to repeat.
    """

    def __init__(self, store: ObjectStore, calendar: Calendar, writer: str) -> None:
        self.rejected = 0
        self.store = store
        self._calendar = calendar
        self.name = writer
        self._open: dict[datetime, dict[str, _Received]] = {}
        self._outside: list[_Received] = []
        """Bars of no session, for the quarantine."""
        self._newest = datetime(1970, 1, 1, tzinfo=UTC)
        self._grids: dict[date, MinuteGrid | None] = {}
        """The minutes the lake expects of a day; None: it is no session."""

    @property
    def held(self) -> int:
        """How many bars wait for their minute to close."""
        return sum(len(bars) for bars in self._open.values()) + len(self._outside)

    def add(self, bar: Bar, received_at: datetime) -> None:
        """Hold an AM event as it was decoded; a later one of the same minute replaces it.

        `dv` (decimal text) is preferred to `v` (whole shares). What is no bar
        goes to quarantine with its reason at the next `close_before`.
        """
        minute = _instant(bar.s)
        if minute is not None and self._grid(_session(minute)) is not None:
            self._open.setdefault(minute, {})[bar.sym] = _Received(minute, bar, received_at)
        else:
            self._outside.append(_Received(minute, bar, received_at))

    @property
    def minutes_held(self) -> Collection[datetime]:
        """The minutes of which bars are held, re-sent ones of written minutes included."""
        return self._open.keys()

    def close_before(
        self, instant: datetime, *, resends_wait: timedelta = RESENDS_WAIT
    ) -> list[WrittenMinute]:
        """Write every minute that ended at or before `instant`, oldest first.

        A minute is forgotten only once it is written: after an error the call
        may simply be repeated.
        """
        closed = [minute for minute in sorted(self._open) if minute + MINUTE <= instant]
        groups = self._grouped(closed, waits=instant < self._newest + resends_wait)
        part_of = {minute: part for part, minutes in enumerate(groups) for minute in minutes}
        # All at once: a replay closes many minutes, and a frame costs more than its rows.
        bars = self._validated([bar for minute in part_of for bar in self._open[minute].values()])
        named = pl.col("minute").replace_strict(part_of, return_dtype=pl.Int64)
        parts = bars.with_columns(named.alias("part")).partition_by("part", as_dict=True)
        written: list[WrittenMinute] = []
        for number, minutes in enumerate(groups):
            if (number,) in parts:
                part = self._write(minutes[-1], parts[number,].drop("part"))
                written += [part] if part.bars else []
            for minute in minutes:
                del self._open[minute]
            self._newest = max(self._newest, minutes[-1])
        if self._outside:
            self._reject(self._outside)
            self._outside = []
        return written

    def _grouped(self, closed: list[datetime], *, waits: bool) -> list[list[datetime]]:
        """Put bars re-sent for minutes already written beside the next minute that closes.

        On a part of their own they would make thousands of parts a session; they wait
        for it at most `RESENDS_WAIT`. The minute that names the part comes last, and
        minutes of two sessions never share one.
        """
        groups = [[minute] for minute in closed if minute > self._newest]
        late: dict[date, list[datetime]] = {}
        for minute in closed:
            if minute <= self._newest:
                late.setdefault(_session(minute), []).append(minute)
        if groups:
            groups[0][:0] = late.pop(_session(groups[0][0]), [])
        elif waits:
            return []
        return [*late.values(), *groups]

    def _grid(self, day: date) -> MinuteGrid | None:
        # One look-up in the calendar per day, not per bar: it costs 100 us.
        if day not in self._grids:
            if len(self._grids) >= DAYS_KNOWN_MAX:
                self._grids.clear()
            is_session = self._calendar.is_session(day)
            self._grids[day] = self._calendar.grid(day) if is_session else None
        return self._grids[day]

    def _write(self, minute: datetime, bars: pl.DataFrame) -> WrittenMinute:
        label = minute.astimezone(NEW_YORK).strftime("%H%M")
        session = _session(minute)
        grid = self._grid(session)
        outside = bars.clear()
        if grid is not None:
            bars, outside = off_hours.split(bars, grid)
        if outside.height:
            off_hours.keep(self.store, session, outside)
        uri = write_live_minute(self.store, session, label, self.name, bars) if bars.height else ""
        return WrittenMinute(session=session, minute=minute, bars=bars.height, uri=uri)

    def _validated(self, rows: Iterable[_Received]) -> pl.DataFrame:
        checked = validate_bars(_to_frame(rows), MINUTE_BARS, dataset=DATASET)
        if checked.rejected.height:
            self._quarantine(checked.rejected)
        return checked.bars

    def _reject(self, rows: Iterable[_Received]) -> None:
        # A well-formed bar of a day without a session is valid: name that reason here.
        checked = validate_bars(_to_frame(rows), MINUTE_BARS, dataset=DATASET)
        closed = reject(
            checked.bars,
            "the exchange was closed that day",
            dataset=DATASET,
            at=pl.col("minute"),
        )
        self._quarantine(pl.concat([checked.rejected, closed]))

    def _quarantine(self, rejected: pl.DataFrame) -> None:
        self.rejected += rejected.height
        record_rejected(self.store, rejected)


def _to_frame(rows: Iterable[_Received]) -> pl.DataFrame:
    received = [(row.minute, row.bar, row.received_at) for row in rows]
    bars = [bar for _, bar, _ in received]
    columns = {
        "symbol": [bar.sym for bar in bars],
        "open": [_text(bar.o) for bar in bars],
        "high": [_text(bar.h) for bar in bars],
        "low": [_text(bar.l) for bar in bars],
        "close": [_text(bar.c) for bar in bars],
        "vwap": [_text(bar.vw) for bar in bars],
        "volume": [_text(bar.v if bar.dv is None else bar.dv) for bar in bars],
        "provider": [PROVIDER] * len(bars),
        "revision": [Revision.LIVE.value] * len(bars),
        "minute": [minute for minute, _, _ in received],
        "observed_at": [at for _, _, at in received],
    }
    return pl.DataFrame(columns, schema=_RAW)


def _text(value: object) -> str | None:
    # The text of a float is its shortest exact form: 114.128 stays 114.128 as a decimal.
    return None if value is None else str(value)


def _instant(milliseconds: int) -> datetime | None:
    if not 0 < milliseconds < 4_102_444_800_000:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _session(minute: datetime) -> date:
    return minute.astimezone(NEW_YORK).date()
