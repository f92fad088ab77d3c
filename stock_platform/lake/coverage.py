"""The coverage table: one object per session, changed by compare-and-swap.

An object's totals are in its metadata too, written together with the rows: a
year of sessions is surveyed by reading the ends of 252 files.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.domain.coverage import COUNTS, COVERAGE, SessionCoverage, universe_digest
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.lake import object_store, parquet, tables
from stock_platform.lake.object_store import ObjectStore

SUMMARIES = pl.Schema(
    {
        "session": pl.Date(),
        "width": pl.Int32(),
        "due": pl.Int32(),
        "symbols": pl.Int64(),
        "universe": pl.String(),
        **{name: pl.Int64() for name in COUNTS},
        "attempts_max": pl.Int64(),
        "next_retry_at": TIMESTAMP_US,
        "checked_at": TIMESTAMP_US,
        "verified_at": TIMESTAMP_US,
    }
)
"""One row per session with stored coverage: its grid's width, the end of the slots counted, sums
over the symbols, the digest of what was expected (`universe_digest`; null in objects of earlier
releases), the earliest next_retry_at, and the earliest verified_at (null while any
symbol was never verified)."""

_WIDTH = "stocks.grid_width"
_SUMMARY = "stocks.summary"
_READERS = 8
_FOOTER = 65_536
"""More than the metadata of an object of two row groups (4 kB measured)."""


def load(store: ObjectStore, grid: MinuteGrid) -> SessionCoverage | None:
    """Return a session's coverage; None when none is stored for a grid of this width.

    Coverage of regular hours holds nothing of the extended ones: after
    the setting changes it is derived anew.
    """
    found = store.get(tables.data("coverage", grid.session))
    return _decode(grid, found[0]) if found else None


def update(
    store: ObjectStore,
    grid: MinuteGrid,
    change: Callable[[SessionCoverage | None], SessionCoverage],
    *,
    due: int | None = None,
) -> SessionCoverage:
    """Apply `change` to the stored coverage; write and return the result.

    `change` may be called again on newer coverage when another writer was
    first, so it only depends on its argument. `due` is the end of the slots
    that are counted; by default the minutes closed at the
    `checked_at`, or all of them.
    """
    path = tables.data("coverage", grid.session)

    def changed(found: bytes | None) -> tuple[bytes | None, SessionCoverage]:
        coverage = change(_decode(grid, found) if found else None)
        if due is None and coverage.checked_at is not None:
            end = grid.closed_slots(coverage.checked_at, 0)
        else:
            end = due
        data = _encode(grid, coverage.to_frame(end), grid.end if end is None else end)
        return None if data == found else data, coverage

    return object_store.update(store, path, changed)


def summaries(store: ObjectStore, sessions: Iterable[date]) -> pl.DataFrame:
    """Return a row of `SUMMARIES` per session with stored coverage, in the order of `sessions`."""
    wanted = list(sessions)
    with ThreadPoolExecutor(_READERS) as readers:
        found = list(readers.map(lambda session: _summary(store, session), wanted))
    rows = [
        {"session": session, **known}
        for session, known in zip(wanted, found, strict=True)
        if known is not None
    ]
    instants = [name for name, dtype in SUMMARIES.items() if dtype == TIMESTAMP_US]
    text = pl.Schema({**SUMMARIES, **{name: pl.Int64() for name in instants}})
    frame = pl.DataFrame(rows, schema=text)
    return frame.with_columns(pl.from_epoch(name, "us") for name in instants).with_columns(
        pl.col(name).dt.replace_time_zone("UTC") for name in instants
    )


def _encode(grid: MinuteGrid, frame: pl.DataFrame, due: int) -> bytes:
    verified = frame["verified_at"]
    instants = {
        "next_retry_at": frame["next_retry_at"].dt.epoch("us").min(),
        "checked_at": frame["checked_at"].dt.epoch("us").max(),
        "verified_at": None if verified.null_count() else verified.dt.epoch("us").min(),
    }
    summary = {
        "width": grid.width,
        "due": due,
        "symbols": frame.height,
        "universe": universe_digest(frame["symbol"], grid),
        **{name: int(frame[name].sum()) for name in COUNTS},
        "attempts_max": frame["attempts"].max(),
        **instants,
    }
    notes = {_WIDTH: str(grid.width), _SUMMARY: json.dumps(summary)}
    folder = tables.folder("coverage", grid.session)
    return parquet.encode("coverage", frame, folder=folder, **notes)


def _summary(store: ObjectStore, session: date) -> dict[str, int | None] | None:
    path = tables.data("coverage", session)
    end = store.get_suffix(path, _FOOTER)
    if end is None:
        return None
    notes = parquet.notes(end)
    parquet.check_version(path, notes)
    return json.loads(notes[_SUMMARY])


def _decode(grid: MinuteGrid, data: bytes) -> SessionCoverage | None:
    path = tables.data("coverage", grid.session)
    if parquet.notes(data).get(_WIDTH) != str(grid.width):
        return None
    return SessionCoverage.from_frame(grid, parquet.decode(path, data, COVERAGE))
