"""Where an indicator updater reads its bars and keeps its values and states.

    indicators_daily/year=2026/data.parquet          indicators_daily_state/session=2026-11-20/...
    indicators_minute/session=2026-11-20/...         indicators_minute_state/session=2026-11-20/...

A session's state object holds the newest state of every symbol as of that session, so
that the next session opens one small object instead of a year.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.indicators.engine.arrays import NUMBERS
from stock_platform.indicators.engine.sessions import with_session
from stock_platform.indicators.indicator import Timeframe
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published

VALUES: dict[Timeframe, str] = {"daily": "indicators_daily", "minute": "indicators_minute"}
STATE_SUFFIX = "_state"
STATES: dict[Timeframe, str] = {name: table + STATE_SUFFIX for name, table in VALUES.items()}

YEARS_BACK_MAX = 4
SESSIONS_BACK_MAX = 5
"""Sessions of minutes read for history: 500 bars of a liquid symbol are in two of them."""
ROWS_HELD_MAX = 1_000_000
"""Daily values held before their years are written: 250 MB."""


class IndicatorStore(Protocol):
    """One timeframe's bars, values and states in one lake."""

    @property
    def key(self) -> Sequence[str]: ...

    def bars(self, session: date) -> pl.DataFrame:
        """Return a session's raw bars."""
        ...

    def before(self, session: date) -> Iterator[pl.DataFrame]:
        """Return the bars before a session in frames, the newest first."""
        ...

    def computed(self) -> list[date]:
        """Return the sessions with a state, rising."""
        ...

    def state(self, session: date) -> pl.DataFrame:
        """Return the newest state of every symbol as of a session."""
        ...

    def values(self, session: date) -> pl.DataFrame:
        """Return a session's stored values."""
        ...

    def keep(
        self, session: date, values: pl.DataFrame, states: pl.DataFrame, *, whole: bool
    ) -> None:
        """Keep a session's values (`whole`: all there are of it) and the states after it."""
        ...

    def flush(self) -> list[Published]:
        """Write what is held back; return what was published since the last call."""
        ...


@dataclass(slots=True, kw_only=True)
class MinuteIndicatorStore:
    """Minute bars; one object of values per session in the table `name`."""

    store: ObjectStore
    name: str = VALUES["minute"]
    key: Sequence[str] = ("symbol", "minute")
    _published: list[Published] = field(default_factory=list[Published])

    def bars(self, session: date) -> pl.DataFrame:
        return read.minute_bars(self.store, session, ["symbol", "minute", *NUMBERS])

    def before(self, session: date) -> Iterator[pl.DataFrame]:
        present = read.sessions_present(self.store, "minute_bars")
        earlier = sorted((day for day in present if day < session), reverse=True)
        return (self.bars(day) for day in earlier[:SESSIONS_BACK_MAX])

    def computed(self) -> list[date]:
        return sorted(read.sessions_present(self.store, self.name + STATE_SUFFIX))

    def state(self, session: date) -> pl.DataFrame:
        stored = read.table(self.store, self.name + STATE_SUFFIX, session)
        return with_session(stored.rename({"last": "minute"})).rename({"minute": "last"})

    def values(self, session: date) -> pl.DataFrame:
        stored = read.table(self.store, self.name, session)
        return (
            stored
            if stored.width
            else pl.DataFrame(schema={"symbol": pl.String, "minute": TIMESTAMP_US})
        )

    def keep(
        self, session: date, values: pl.DataFrame, states: pl.DataFrame, *, whole: bool
    ) -> None:
        mode = "replace" if whole else "merge"
        if values.height:
            self._published.append(
                write.publish_table(self.store, self.name, session, values, key=self.key, mode=mode)
            )
        _keep_state(self.store, self.name + STATE_SUFFIX, session, states)

    def flush(self) -> list[Published]:
        published, self._published = self._published, []
        return published


@dataclass(slots=True, kw_only=True)
class DailyIndicatorStore:
    """Daily bars; one object of values per year in `name`, written when the work is done."""

    store: ObjectStore
    name: str = VALUES["daily"]
    key: Sequence[str] = ("symbol", "session")
    _bars: dict[int, pl.DataFrame] = field(default_factory=dict[int, pl.DataFrame])
    _values: dict[int, pl.DataFrame] = field(default_factory=dict[int, pl.DataFrame])
    _held: list[tuple[date, pl.DataFrame, pl.DataFrame]] = field(default_factory=list)
    _published: list[Published] = field(default_factory=list[Published])

    def bars(self, session: date) -> pl.DataFrame:
        return self._year(session.year).filter(pl.col("session") == session)

    def before(self, session: date) -> Iterator[pl.DataFrame]:
        present = read.years_present(self.store, "daily_bars")
        years = [year for year in reversed(present) if year <= session.year]
        earlier = pl.col("session") < session
        return (self._year(year).filter(earlier) for year in years[:YEARS_BACK_MAX])

    def computed(self) -> list[date]:
        return sorted(read.sessions_present(self.store, self.name + STATE_SUFFIX))

    def state(self, session: date) -> pl.DataFrame:
        stored = read.table(self.store, self.name + STATE_SUFFIX, session)
        return stored.with_columns(pl.col("last").alias("session"))

    def values(self, session: date) -> pl.DataFrame:
        year = session.year
        if year not in self._values:
            stored = read.table(self.store, self.name, year)
            keys = {"symbol": pl.String, "session": pl.Date}
            self._values[year] = stored if stored.width else pl.DataFrame(schema=keys)
        return self._values[year].filter(pl.col("session") == session)

    def keep(
        self, session: date, values: pl.DataFrame, states: pl.DataFrame, *, whole: bool
    ) -> None:
        self._held.append((session, values, states))
        if sum(rows.height for _, rows, _ in self._held) > ROWS_HELD_MAX:
            self._write()

    def flush(self) -> list[Published]:
        self._write()
        published, self._published = self._published, []
        return published

    def _write(self) -> None:
        """Write values before states: a crash in between computes the session again."""
        by_year: dict[int, list[pl.DataFrame]] = {}
        for session, rows, _ in self._held:
            if rows.height:
                by_year.setdefault(session.year, []).append(rows)
        for year, frames in by_year.items():
            self._published.append(
                write.publish_table(self.store, self.name, year, pl.concat(frames), key=self.key)
            )
        for session, _, states in self._held:
            _keep_state(self.store, self.name + STATE_SUFFIX, session, states)
        self._held.clear()

    def _year(self, year: int) -> pl.DataFrame:
        if year not in self._bars:
            rows = read.daily_bars(self.store, year, year)
            self._bars[year] = rows.select("symbol", "session", *NUMBERS)
        return self._bars[year]


def indicator_store(store: ObjectStore, timeframe: Timeframe, name: str = "") -> IndicatorStore:
    """Return the store of a timeframe in a lake, with its values in the table `name`.

    Without a name the table is the platform's own: `indicators_daily`, `indicators_minute`.
    """
    name = name or VALUES[timeframe]
    if timeframe == "daily":
        return DailyIndicatorStore(store=store, name=name)
    return MinuteIndicatorStore(store=store, name=name)


def _keep_state(store: ObjectStore, table: str, session: date, states: pl.DataFrame) -> None:
    # Its session is the date of `last`; beside the folder's name it would be ambiguous in SQL.
    rows = states.drop("session")
    write.publish_table(store, table, session, rows, key=["symbol"], mode="replace")
