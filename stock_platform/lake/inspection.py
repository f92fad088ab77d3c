"""Whether one object of the lake is what was written there, and what its table allows.

An object with a checksum that is wrong is not decoded at all: flipped bits can make a
decoder allocate without bound.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from stock_platform.domain.bars import validate_bars
from stock_platform.domain.claims import BESIDE
from stock_platform.errors import PlatformError
from stock_platform.lake import parquet, tables
from stock_platform.lake.checksums import ChecksumState, checksum_state, is_rising
from stock_platform.lake.tables import TABLES, Table
from stock_platform.lake.write import require_session

DECODE_ERRORS = (
    PlatformError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
)
"""What reading bytes that are no sound object of the lake can raise."""

_MAGIC = b"PAR1"
_SMALLEST = 12
"""The magic at both ends and the length of the footer."""
_SLICE = 500_000
"""Bars validated at a time: a session of 3.1M at once would need 1 GB more."""
_SORTED = frozenset({"minute_bars", "daily_bars", "raw_quotes", "coverage"})
"""Tables whose readers depend on the order of the rows."""
_PART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.parquet")
_DETAIL_MAX = 200

Fault = tuple[str, str]
"""The kind of a defect and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One thing that is not as it should be.

    `kind` is damaged, unreadable, misplaced, foreign, schema, rows, values, coverage or
    universe; `where` an object's path inside the lake, or the symbol that it concerns.

        [(found.kind, found.where) for found in lake.verify("2026-11-20").defects]
    """

    kind: str
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One object, its rows where it is sound enough to have any, and what is wrong with it."""

    path: str
    rows: pl.DataFrame | None
    has_checksum: bool
    defects: tuple[Defect, ...]


def inspect_object(path: str, data: bytes) -> Inspected:
    """Check an object's place, bytes, columns and rows; return its rows too.

    The rows of tables that the platform does not define (indicators) are only decoded, and
    only without a checksum; they are not returned.
    """
    state, table = checksum_state(data), TABLES.get(path.partition("/")[0])
    rows, fault = None, _place_fault(path, table) or _bytes_fault(path, data, state)
    if fault is None:
        rows, fault = _read(path, data, state, table)
    faults = [fault] if fault else []
    if table is not None and rows is not None:
        faults += _row_faults(table, _partition(path), rows)
    return Inspected(
        path=path,
        rows=rows,
        has_checksum=state is not ChecksumState.ABSENT,
        defects=tuple(
            Defect(kind=kind, where=path, detail=" ".join(detail.split())[:_DETAIL_MAX])
            for kind, detail in faults
        ),
    )


def _partition(path: str) -> tables.Partition:
    folders = path.split("/")[1:-1]
    return tables.partition_of(folders[0]) if folders else None


def _place_fault(path: str, table: Table | None) -> Fault | None:
    """Return why no writer of the table uses such a path, if none does."""
    if table is None:
        return None
    folder, _, file = path.rpartition("/")
    try:
        partition = _partition(path)
        used = folder == tables.folder(table.name, partition) and _fits(table, partition)
    except PlatformError:
        used = False
    if not used:
        return "foreign", f"no partition of {table.name} has such a folder"
    named = _PART_NAME.fullmatch(file) if table.parts else file == "data.parquet"
    return None if named else ("foreign", f"no writer of {table.name} gives an object such a name")


def _fits(table: Table, partition: tables.Partition) -> bool:
    if not table.split:
        return partition is None
    return isinstance(partition, int if table.split == "year" else date)


def _bytes_fault(path: str, data: bytes, state: ChecksumState) -> Fault | None:
    """Return what is wrong with an object's bytes and its notes, without decoding its rows."""
    if state is ChecksumState.WRONG:
        return "damaged", "its bytes are not those that were written"
    if len(data) < _SMALLEST or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        return "unreadable", f"{len(data)} bytes that are not Parquet: torn or foreign"
    try:
        notes = parquet.notes(data)
        parquet.check_version(path, notes)
    except DECODE_ERRORS as error:
        return "unreadable", _text(error, path)
    return _notes_fault(path, notes, state)


def _notes_fault(path: str, notes: dict[str, str], state: ChecksumState) -> Fault | None:
    """Return whether an object was written to another place than where it is."""
    folder, name = path.rpartition("/")[0], path.partition("/")[0]
    written_to = notes.get(parquet.FOLDER)
    if written_to is not None and state is ChecksumState.ABSENT:
        return "damaged", "its checksum is gone"
    if written_to is not None and written_to != folder:
        return "misplaced", f"it was written as an object of {written_to}"
    if notes.get(parquet.TABLE, name) != name:
        return "misplaced", f"it was written as an object of {notes[parquet.TABLE]}"
    return None


def _read(
    path: str, data: bytes, state: ChecksumState, table: Table | None
) -> tuple[pl.DataFrame | None, Fault | None]:
    """Return the rows of an object of a known table, or why it cannot be read."""
    try:
        if table is not None:
            columns = pl.Schema({**table.schema, **{name: BESIDE[name] for name in table.beside}})
            if wrong := _wrong_columns(table, pl.read_parquet_schema(data)):
                return None, ("schema", wrong)
            return parquet.decode(path, data, columns), None
        if state is ChecksumState.ABSENT:
            for name in pl.read_parquet_schema(data):
                pl.read_parquet(data, columns=[name])
    except PlatformError as error:
        return None, ("schema", _text(error, path))
    except DECODE_ERRORS as error:
        return None, ("unreadable", _text(error, path))
    return None, None


def _wrong_columns(table: Table, stored: Mapping[str, pl.DataType]) -> str:
    """Return which columns are absent or none of the table's; their types `decode` requires."""
    optional = {*table.added, *table.beside}
    absent = [name for name in table.schema if name not in stored and name not in optional]
    extra = [name for name in stored if name not in table.schema and name not in optional]
    wrong = [f"{name} is absent" for name in absent]
    return "; ".join([*wrong, *(f"{name} is no column of {table.name}" for name in extra)])


def _text(error: BaseException, path: str) -> str:
    return str(error).removeprefix(f"{path} ").removeprefix("has ")


def _row_faults(
    table: Table, partition: tables.Partition, rows: pl.DataFrame
) -> Iterator[tuple[str, str]]:
    """Name each rule of its table that the rows of one object break, as (kind, what is wrong)."""
    key = list(table.key)
    if not table.parts and not is_rising(rows, key):
        repeated = rows.height - rows.select(pl.struct(key).n_unique()).item()
        if repeated:
            yield "rows", f"{repeated} rows repeat the key {', '.join(key)}"
        if table.name in _SORTED:
            yield "rows", f"the rows are not in the order of {', '.join(key)}"
    if outside := _outside(table, partition, rows):
        yield "misplaced", outside
    if table.name in {"minute_bars", "minute_bars_live", "daily_bars"}:
        yield from _impossible(table, rows)


def _outside(table: Table, partition: tables.Partition, rows: pl.DataFrame) -> str:
    """Return which rows belong to another partition; nothing where all are of this one."""
    if isinstance(partition, date) and "minute" in rows.columns:
        return _outside_session(rows, partition)
    if isinstance(partition, int) and "session" in rows.columns:
        wrong = rows.filter(pl.col("session").dt.year() != partition)
        return f"{wrong.height} rows are not of {partition}" if wrong.height else ""
    if isinstance(partition, date) and table.name == "answers":
        requested = rows.select(pl.lit("").alias("symbol"), pl.col("first").alias("minute"))
        return _outside_session(requested, partition)
    own = {"quarantine": pl.col("observed_at").dt.date(), "reference_symbols": pl.col("as_of")}
    if table.name not in own:
        return ""
    wrong = rows.filter(own[table.name].ne_missing(pl.lit(partition)))
    return f"{wrong.height} rows are not of {partition}" if wrong.height else ""


def _outside_session(rows: pl.DataFrame, session: date) -> str:
    try:
        require_session(rows, session)
    except PlatformError as error:
        return str(error)
    return ""


def _impossible(table: Table, rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    rejected = [
        found
        for part in rows.iter_slices(_SLICE)
        if (found := validate_bars(part, table.schema, dataset=table.name).rejected).height
    ]
    if rejected:
        bad = pl.concat(rejected)
        symbol, at, reason = bad.select("symbol", "at", "reason").row(0)
        when = f"{at:%Y-%m-%d %H:%M} UTC" if isinstance(at, datetime) else "an unreadable time"
        first = f"{symbol} at {when}: {reason}"
        yield "values", f"{bad.height} rows cannot be right, the first is {first}"
