"""`stock_data` in one SQLite file: the same content where no Postgres is configured.

SQLite would turn a NUMERIC value into a float, so numbers are canonical decimal
text (`132.06`, `127`). Equal numbers are equal text; to compare, sort or sum in
SQL use the view `stock_data_numbers`.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl

from stock_platform.errors import InvalidDataError, PermanentError, PlatformError, TransientError
from stock_platform.serving.postgres.rows import KEY, STOCK_DATA, VALUES, Upserted, to_stock_data

_COLUMNS = ", ".join(STOCK_DATA)
_KEYS = ", ".join(KEY)
_JOINED = "incoming LEFT JOIN stock_data AS stored USING (symbol, date)"
_DIFFERS = " OR ".join(f"stored.{name} IS NOT incoming.{name}" for name in VALUES)
_COUNT = f"""
SELECT count(*) FILTER (WHERE stored.symbol IS NULL),
       count(*) FILTER (WHERE stored.symbol IS NOT NULL AND ({_DIFFERS}))
FROM {_JOINED}
"""  # noqa: S608 - column names of this package
_UPSERT = f"""
INSERT INTO stock_data ({_COLUMNS})
SELECT {", ".join(f"incoming.{name}" for name in STOCK_DATA)} FROM {_JOINED}
WHERE stored.symbol IS NULL OR {_DIFFERS}
ON CONFLICT ({_KEYS}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in VALUES)}
"""  # noqa: S608 - column names of this package
_READ = f"SELECT {_COLUMNS} FROM stock_data"  # noqa: S608 - column names of this package


class SqliteStockData:
    """Stock data in a file; every call opens it anew, so threads and processes may share it."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def upsert(self, frame: pl.DataFrame) -> Upserted:
        """Write the rows that are new or differ, all of them or none; safe to repeat."""
        rows = _to_text(to_stock_data(frame))
        with self._transaction() as connection:
            connection.execute(f"CREATE TEMP TABLE incoming ({_COLUMNS}, PRIMARY KEY ({_KEYS}))")
            marks = ", ".join("?" * rows.width)
            connection.executemany(
                f"INSERT INTO incoming VALUES ({marks})",  # noqa: S608 - question marks only
                rows.iter_rows(),
            )
            # The lock is taken before the count, or another process could write in between.
            connection.execute("BEGIN IMMEDIATE")
            inserted, updated = connection.execute(_COUNT).fetchone()
            if inserted or updated:
                connection.execute(_UPSERT)
        return Upserted(inserted, updated, rows.height - inserted - updated)

    def read(self, symbols: list[str] | None = None) -> pl.DataFrame:
        """Return the stored rows of `symbols` (None: of all), sorted by key."""
        where = ""
        if symbols is not None:
            where = f" WHERE symbol IN ({', '.join('?' * len(symbols))})"
        with self._transaction() as connection:
            rows = connection.execute(f"{_READ}{where} ORDER BY {_KEYS}", symbols or []).fetchall()
        texts = pl.DataFrame(rows, schema=dict.fromkeys(STOCK_DATA, pl.String), orient="row")
        return texts.with_columns(pl.col("date").str.to_date()).cast(STOCK_DATA)

    def close(self) -> None:
        """Do nothing: no connection stays open between calls."""

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA temp_store = MEMORY")
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _problem(error) from None


def _to_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Write decimals without trailing zeros; all of them have six places before."""
    text = pl.col(VALUES).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return rows.with_columns(pl.col("date").cast(pl.String), text)


def _problem(error: sqlite3.Error) -> PlatformError:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    message = f"SQLite: {type(error).__name__} ({name})"
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return InvalidDataError(message)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TransientError(message)
    return PermanentError(message)
