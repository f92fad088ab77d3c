"""SQL over the lake: DuckDB in memory over generated views, read-only and bounded.

There is no database file, so no process locks another out. DuckDB reopens files by path
while a query runs and can mix two versions of one silently (seen in measurements), so a
query reads a snapshot of the tables it names: see `snapshot`.
"""

import threading
from collections.abc import Generator
from contextlib import closing, contextmanager

import duckdb
import polars as pl

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store import ObjectStore, VersionConflictError
from stock_platform.lake.sql.snapshot import Snapshot, snapshot
from stock_platform.lake.sql.snapshot_fs import SnapshotFileSystem
from stock_platform.lake.sql.views import views

SWAPS_MAX = 8
"""Times a query is run because an object it may have read was replaced."""


def query(
    store: ObjectStore, sql: str, *, timeout_s: float = 60.0, memory: str = "2GB"
) -> pl.DataFrame:
    """Return the rows of one SELECT over the views of the lake.

    Raises `PermanentError` for a statement that is wrong, does more than read, or
    needs more than `memory` or `timeout_s`, and `TransientError` when the lake kept
    changing during each of `SWAPS_MAX` runs.

        query(store, "select symbol, close from daily_bars where session = '2026-11-20'")
    """
    keep: set[str] = set()
    for _ in range(SWAPS_MAX):
        with snapshot(store, sql, keep=keep) as objects:
            failure: PermanentError | None = None
            rows = pl.DataFrame()
            try:
                rows = _run(objects, sql, timeout_s=timeout_s, memory=memory)
            except (duckdb.Error, VersionConflictError) as error:
                failure = PermanentError(f"SQL failed: {_first_lines(error)}")
            changed = objects.changed(store)
        if not changed:
            if failure is not None:
                raise failure
            return rows
        keep |= changed
    raise TransientError(f"the lake changed under the query {SWAPS_MAX} times in a row")


@contextmanager
def connect(store: ObjectStore, *, memory: str = "2GB") -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views of the lake as it is now; close it at the end.

    It can read the lake and nothing else; its settings are locked. On a folder it may
    reopen objects that were replaced meanwhile: `query` gives a consistent result.
    """
    with snapshot(store) as objects, closing(_open(objects, memory)) as connection:
        yield connection


def open_snapshot(store: ObjectStore, *, memory: str = "2GB") -> duckdb.DuckDBPyConnection:
    """Return a connection over the lake as it is now, for the caller to close.

    Every object is pinned to its present version: a query that needs one replaced since
    raises `duckdb.Error`, never mixes two versions, and a new connection reads the new one.

        with open_snapshot(store) as connection:
            connection.sql("select count(*) from minute_bars").fetchall()
    """
    files = SnapshotFileSystem(store, {entry.path: entry for entry in store.list("")})
    return _open(Snapshot(root=files.root, held=files.held, files=files), memory)


def _open(objects: Snapshot, memory: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    try:
        if objects.files:
            connection.register_filesystem(objects.files)
        connection.execute(views(objects.locations))
        for setting, value in {
            "TimeZone": "'UTC'",
            "memory_limit": _text(memory),
            # No spilling: a query never writes to disk, it fails when it needs too much.
            "temp_directory": "''",
            "allowed_directories": f"[{_text(objects.root)}]",
            "enable_external_access": "false",
            "lock_configuration": "true",
        }.items():
            connection.execute(f"SET {setting} = {value}")
    except BaseException:
        connection.close()
        raise
    return connection


def _run(objects: Snapshot, sql: str, *, timeout_s: float, memory: str) -> pl.DataFrame:
    with closing(_open(objects, memory)) as connection:
        _require_reading(connection, sql)
        late = threading.Event()

        def stop() -> None:
            late.set()
            connection.interrupt()

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            return connection.sql(sql).pl()
        except duckdb.InterruptException:
            raise PermanentError(f"the query took longer than {timeout_s:g} s") from None
        except duckdb.OutOfMemoryException:
            raise PermanentError(f"the query needs more than {memory} of memory") from None
        finally:
            timer.cancel()


def _require_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise `PermanentError` for anything but one statement that only reads.

    A SELECT can hold a COPY or an INSERT in its WITH clause, yet only at the
    top level: as a subquery the same text is refused, so it is explained as one.
    """
    try:
        kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    except duckdb.ParserException as error:
        raise PermanentError(f"SQL is wrong: {_first_lines(error)}") from None
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise PermanentError(f"only one statement that reads (SELECT) is run, found {found}")
    try:
        inner = sql.rstrip().rstrip(";")
        connection.execute(f"EXPLAIN SELECT * FROM (\n{inner}\n)")  # noqa: S608 - what is checked
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise PermanentError(f"SQL is wrong: {_first_lines(error)}") from None


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n\n")[0].splitlines())[:500]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
