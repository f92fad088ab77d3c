"""The objects that a session's certificate depends on: its own, and those of all sessions.

Its own lie in the folders of the session. The others, one object a year or a table, are
inspected once for all sessions that are verified together.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from stock_platform.domain.rejections import REJECTED
from stock_platform.lake import tables
from stock_platform.lake.inspection import Defect, Inspected, inspect_object
from stock_platform.lake.object_store import ObjectMeta, ObjectStore
from stock_platform.lake.tables import TABLES

ACTION_TABLES = ("corporate_actions", "splits", "dividends")
YEARS_HELD = 2
"""Years of daily bars held at once: sessions are verified newest first."""

_SESSION = re.compile(r"[a-z0-9_]+/session=(\d{4}-\d{2}-\d{2})/.+")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_HIDDEN = "."
"""Begins the names of locks and unfinished files, which a plain copy to S3 takes along."""
_TRIAL = re.compile(r"doctor-[^/]*\.txt")


def objects_of(store: ObjectStore, session: date) -> list[ObjectMeta]:
    """List every object in a folder of the session, whatever its table."""
    return [
        meta
        for table in table_folders(store)
        if TABLES.get(table) is None or TABLES[table].split == "session"
        for meta in store.list(f"{table}/session={session}")
    ]


def table_folders(store: ObjectStore) -> list[str]:
    """Return the folders at the root whose name can be that of a table."""
    return [name for name in store.folders("") if _TABLE.fullmatch(name)]


def by_session(listing: Iterable[ObjectMeta]) -> dict[str, list[ObjectMeta]]:
    """Group the objects of a listing of the whole lake by the ISO date of their session."""
    found: dict[str, list[ObjectMeta]] = defaultdict(list)
    for meta in listing:
        if matched := _SESSION.fullmatch(meta.path):
            found[matched[1]].append(meta)
    return found


def inspect_listed(store: ObjectStore, paths: Iterable[str]) -> Iterator[Inspected]:
    """Inspect objects one after the other; those deleted since they were listed are left out."""
    for path in paths:
        table = path.partition("/")[0]
        if not _TABLE.fullmatch(table) or (table not in TABLES and not path.endswith(".parquet")):
            continue  # Records of alerts and reports are no tables.
        found = store.get(path)
        if found is not None:
            yield inspect_object(path, found[0])


def foreign_objects(listing: Iterable[ObjectMeta]) -> Iterator[Defect]:
    """Name the objects outside every table's folder that nothing of the platform writes."""
    for meta in listing:
        first, inside, _ = meta.path.partition("/")
        ours = _TABLE.fullmatch(first) if inside else _TRIAL.fullmatch(first)
        if not ours and not first.startswith(_HIDDEN):
            detail = "nothing of the platform writes here"
            yield Defect(kind="foreign", where=meta.path, detail=detail)


@dataclass(frozen=True, slots=True)
class Year:
    """The objects of one year: daily bars by session, and what is wrong with any of them."""

    objects: tuple[Inspected, ...]
    daily_bars: dict[date, pl.DataFrame] | None
    """None where the object cannot be read."""

    def daily_bars_of(self, session: date) -> pl.DataFrame | None:
        """Return a session's daily bars; None where they cannot be read."""
        if self.daily_bars is None:
            return None
        return self.daily_bars.get(session, pl.DataFrame(schema=TABLES["daily_bars"].schema))


@dataclass(slots=True, kw_only=True)
class SharedObjects:
    """What several sessions need, each object inspected once."""

    store: ObjectStore
    _years: dict[int, Year] = field(default_factory=dict[int, Year])
    _single: tuple[Inspected, ...] | None = None
    _quarantine: dict[date, tuple[Inspected, ...]] = field(
        default_factory=dict[date, tuple[Inspected, ...]]
    )

    def year(self, year: int) -> Year:
        """Return the objects of a year, inspected."""
        if year not in self._years:
            while len(self._years) >= YEARS_HELD:
                self._years.pop(next(iter(self._years)))
            self._years[year] = self._inspect_year(year)
        return self._years[year]

    def single(self) -> tuple[Inspected, ...]:
        """Return the tables that are one object, inspected."""
        if self._single is None:
            names = [name for name, table in TABLES.items() if not table.split]
            listed = [meta.path for name in names for meta in self.store.list(name)]
            self._single = tuple(inspect_listed(self.store, listed))
        return self._single

    def actions_of(self, symbols: Iterable[str]) -> dict[str, pl.DataFrame] | None:
        """Return the rows of each table of corporate actions; None where one cannot be read."""
        wanted = pl.Series("symbol", list(symbols), dtype=pl.String)
        found = {item.path.partition("/")[0]: item for item in self.single()}
        rows: dict[str, pl.DataFrame] = {}
        for name in ACTION_TABLES:
            item = found.get(name)
            frame = pl.DataFrame(schema=TABLES[name].schema) if item is None else item.rows
            if frame is None:
                return None
            rows[name] = frame.filter(pl.col("symbol").is_in(wanted.implode()))
        return rows

    def quarantine_since(self, session: date) -> list[Inspected]:
        """Return the days of the quarantine that can hold rows of a session, inspected."""
        days: dict[date, list[str]] = defaultdict(list)
        for meta in self.store.list("quarantine") if not self._quarantine else ():
            days[_day_of(meta.path)].append(meta.path)
        for day, paths in days.items():
            self._quarantine[day] = tuple(inspect_listed(self.store, paths))
        return [
            item
            for day, items in sorted(self._quarantine.items())
            if day >= session
            for item in items
        ]

    def _inspect_year(self, year: int) -> Year:
        names = [
            name
            for name in table_folders(self.store)
            if TABLES.get(name) is None or TABLES[name].split == "year"
        ]
        folders = [tables.folder(name, year) for name in names]
        listed = [meta.path for folder in folders for meta in self.store.list(folder)]
        daily: dict[date, pl.DataFrame] | None = {}
        kept: list[Inspected] = []
        for item in inspect_listed(self.store, listed):
            if item.path == tables.data("daily_bars", year):
                daily = None if item.rows is None else _split_by_session(item.rows)
            kept.append(_without_rows(item))
        return Year(tuple(kept), daily)


def quarantined_rows(items: Iterable[Inspected], session: date) -> int:
    """Count the rejected rows about a session, each once; rows without a time are of none."""
    frames = [item.rows for item in items if item.rows is not None]
    rows = pl.concat([pl.DataFrame(schema=REJECTED), *frames])
    rows = rows.unique([name for name in REJECTED if name != "observed_at"])
    daily = pl.col("dataset") == "daily_bars"
    in_new_york = pl.col("at").dt.convert_time_zone("America/New_York").dt.date()
    # A rejected daily bar is kept at its session's midnight UTC.
    on = pl.when(daily).then(pl.col("at").dt.date()).otherwise(in_new_york)
    return rows.filter(on == session).height


def _day_of(path: str) -> date:
    try:
        return date.fromisoformat(path.split("/")[1].partition("=")[2])
    except (IndexError, ValueError):
        return date.max  # No day of the quarantine: foreign, and named by every certificate.


def _split_by_session(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    split = rows.partition_by("session", as_dict=True)
    return {day: frame for (day,), frame in split.items()}


def _without_rows(item: Inspected) -> Inspected:
    return Inspected(
        path=item.path, rows=None, has_checksum=item.has_checksum, defects=item.defects
    )
