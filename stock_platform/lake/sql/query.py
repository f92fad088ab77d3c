"""Ask the lake in SQL: DuckDB in memory over generated views, read-only and bounded.

There is no database file, so nobody is ever locked out. DuckDB reopens files
by path while a query runs and can mix two versions of one silently (seen in
measurements), so the objects are listed before and after: when one of them was
replaced or deleted meanwhile, the answer is thrown away and asked for again.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import duckdb
import polars as pl

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.filesystem import FileStore
from stock_platform.lake.object_store import ObjectMeta, ObjectStore, VersionConflictError
from stock_platform.lake.sql.snapshot_fs import PROTOCOL, SnapshotFileSystem
from stock_platform.lake.sql.views import views

SWAPS_MAX = 8
"""Times a question is asked again because an object was replaced under it."""

Listing = dict[str, ObjectMeta]


def query(
    store: ObjectStore, sql: str, *, timeout_s: float = 60.0, memory: str = "2GB"
) -> pl.DataFrame:
    """Answer one SELECT over the views of the lake.

    Raises `Permanent` for a statement that is wrong, does more than read, or
    needs more than `memory` or `timeout_s`, and `Transient` when the lake kept
    changing under it.
    """
    for _ in range(SWAPS_MAX):
        held = _listed(store)
        try:
            response = _ask(store, held, sql, timeout_s=timeout_s, memory=memory)
        except (duckdb.Error, VersionConflictError) as error:
            if _unchanged(store, held):
                raise PermanentError(f"SQL failed: {_first_lines(error)}") from None
            continue
        if _unchanged(store, held):
            return response
    raise TransientError(f"the lake changed under the query {SWAPS_MAX} times in a row")


@contextmanager
def connect(
    store: ObjectStore, *, memory: str = "2GB", held: Listing | None = None
) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views of the lake as it is now, closed to all else.

    What it may read is the lake; settings are locked. It may reopen objects
    that were replaced meanwhile: `query` is the way to a consistent answer.
    """
    held = _listed(store) if held is None else held
    connection = duckdb.connect(":memory:")
    pinned = None if isinstance(store, FileStore) else SnapshotFileSystem(store, held)
    root = store.root if pinned is None else pinned.root
    try:
        if pinned is not None:
            connection.register_filesystem(pinned)
        connection.execute(views(root, held))
        for setting, value in {
            "TimeZone": "'UTC'",
            "memory_limit": _text(memory),
            # No spilling: a question never writes to disk, it fails when it needs too much.
            "temp_directory": "''",
            "allowed_directories": f"[{_text(root)}]",
            "enable_external_access": "false",
            "lock_configuration": "true",
        }.items():
            connection.execute(f"SET {setting} = {value}")
        yield connection
    finally:
        if pinned is not None:
            connection.unregister_filesystem(PROTOCOL)
        connection.close()


def _ask(
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
    """Raise `Permanent` for anything but one statement that only reads.

    A SELECT can hold a COPY or an INSERT in its WITH clause, yet only at the
    top level: as a subquery the same text is refused, so it is tried as one.
    """
    try:
        kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    except duckdb.ParserException as error:
        raise PermanentError(f"SQL is wrong: {_first_lines(error)}") from None
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise PermanentError(f"only one statement that reads (SELECT) is answered, found {found}")
    try:
        asked = sql.rstrip().rstrip(";")
        connection.execute(f"EXPLAIN SELECT * FROM (\n{asked}\n)")  # noqa: S608 - what is checked
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
