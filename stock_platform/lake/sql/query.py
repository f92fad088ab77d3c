"""SQL over the lake: DuckDB in memory over generated views, read-only and bounded.

There is no database file, so no process locks another out. DuckDB reopens files
by path while a query runs and can mix two versions of one silently (seen in
measurements), so `query` lists the objects before and after: when one of them was
replaced or deleted meanwhile, the result is dropped and the query is run again.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import duckdb
import polars as pl

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store import ObjectMeta, ObjectStore, VersionConflictError
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.snapshot_fs import SnapshotFileSystem
from stock_platform.lake.sql.views import views

SWAPS_MAX = 8
"""Times a query is run because an object it may have read was replaced."""

Listing = dict[str, ObjectMeta]


def query(
    store: ObjectStore, sql: str, *, timeout_s: float = 60.0, memory: str = "2GB"
) -> pl.DataFrame:
    """Return the rows of one SELECT over the views of the lake.

    Raises `PermanentError` for a statement that is wrong, does more than read, or
    needs more than `memory` or `timeout_s`, and `TransientError` when the lake kept
    changing during each of `SWAPS_MAX` runs.

        query(store, "select symbol, close from daily_bars where session = '2026-11-20'")
    """
    for _ in range(SWAPS_MAX):
        held = _listed(store)
        try:
            rows = _run(store, held, sql, timeout_s=timeout_s, memory=memory)
        except (duckdb.Error, VersionConflictError) as error:
            if _unchanged(store, held):
                raise PermanentError(f"SQL failed: {_first_lines(error)}") from None
            continue
        if _unchanged(store, held):
            return rows
    raise TransientError(f"the lake changed under the query {SWAPS_MAX} times in a row")


@contextmanager
def connect(
    store: ObjectStore, *, memory: str = "2GB", held: Listing | None = None
) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views of the lake as it is now; close it at the end.

    It can read the lake and nothing else; its settings are locked. On a folder it may
    reopen objects that were replaced meanwhile: `query` gives a consistent result.
    """
    connection = _open(store, memory, held, pinned=not isinstance(store, FileStore))
    try:
        yield connection
    finally:
        connection.close()


def open_snapshot(store: ObjectStore, *, memory: str = "2GB") -> duckdb.DuckDBPyConnection:
    """Return a connection over the lake as it is now, for the caller to close.

    Every object is pinned to its present version: a query that needs one replaced since
    raises `duckdb.Error`, never mixes two versions, and a new connection reads the new one.

        with open_snapshot(store) as connection:
            connection.sql("select count(*) from minute_bars").fetchall()
    """
    return _open(store, memory, None, pinned=True)


def _open(
    store: ObjectStore, memory: str, held: Listing | None, *, pinned: bool
) -> duckdb.DuckDBPyConnection:
    held = _listed(store) if held is None else held
    connection = duckdb.connect(":memory:")
    files = SnapshotFileSystem(store, held) if pinned else None
    root = files.root if files else store.root
    try:
        if files:
            connection.register_filesystem(files)
        connection.execute(views(root, held))
        for setting, value in {
            "TimeZone": "'UTC'",
            "memory_limit": _text(memory),
            # No spilling: a query never writes to disk, it fails when it needs too much.
            "temp_directory": "''",
            "allowed_directories": f"[{_text(root)}]",
            "enable_external_access": "false",
            "lock_configuration": "true",
        }.items():
            connection.execute(f"SET {setting} = {value}")
    except BaseException:
        connection.close()
        raise
    return connection


def _run(
    store: ObjectStore, held: Listing, sql: str, *, timeout_s: float, memory: str
) -> pl.DataFrame:
    with connect(store, memory=memory, held=held) as connection:
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


def _listed(store: ObjectStore) -> Listing:
    return {entry.path: entry for entry in store.list("")}


def _unchanged(store: ObjectStore, held: Listing) -> bool:
    now = _listed(store)
    return all(path in now and now[path].version == was.version for path, was in held.items())


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n\n")[0].splitlines())[:500]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
