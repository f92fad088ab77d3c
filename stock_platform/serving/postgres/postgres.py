"""`stock_data` in a Postgres server: COPY into a temporary table, then one upsert.

Row-by-row inserts pay a round trip each. COPY cannot handle conflicts. Together
they are fast and repeatable: what is already there is found by a join and is
neither written nor locked.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import polars as pl
import psycopg
import stamina
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from stock_platform.errors import InvalidDataError, PermanentError, PlatformError, TransientError
from stock_platform.serving.postgres.rows import KEY, STOCK_DATA, VALUES, Upserted, to_stock_data

ATTEMPTS_MAX = 4
_CHUNK_ROWS = 65_536
"""Rows turned into text at a time: about 8 MB, whatever the size of the load."""

_COLUMNS = ", ".join(STOCK_DATA)
_KEYS = ", ".join(KEY)
_SAME_KEY = " AND ".join(f"stored.{name} = incoming.{name}" for name in KEY)
_STORED = ", ".join(f"stored.{name}" for name in VALUES)
_INCOMING = ", ".join(f"incoming.{name}" for name in VALUES)
_EXCLUDED = ", ".join(f"excluded.{name}" for name in VALUES)

_COPY = f"COPY incoming ({_COLUMNS}) FROM STDIN WITH (FORMAT csv)".encode()
# Without the join, ON CONFLICT would lock (and so write) every row that stays as it is.
# The WHERE after it decides again for a row that another session inserted meanwhile.
_UPSERT = f"""
WITH written AS (
    INSERT INTO stock_data AS stored ({_COLUMNS})
    SELECT {_COLUMNS} FROM incoming
    WHERE NOT EXISTS (
        SELECT 1 FROM stock_data AS stored
        WHERE {_SAME_KEY} AND ({_STORED}) IS NOT DISTINCT FROM ({_INCOMING})
    )
    ORDER BY {_KEYS}
    ON CONFLICT ({_KEYS}) DO UPDATE
        SET ({", ".join(VALUES)}) = ({_EXCLUDED})
        WHERE ({_STORED}) IS DISTINCT FROM ({_EXCLUDED})
    RETURNING (xmax = 0) AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
""".encode()  # noqa: S608 - column names of this package
_READ = f"SELECT {_COLUMNS} FROM stock_data"  # noqa: S608 - column names of this package
_READ_SOME = f"{_READ} WHERE symbol = ANY(%s) ORDER BY {_KEYS}".encode()
_READ_ALL = f"{_READ} ORDER BY {_KEYS}".encode()


class PostgresStockData:
    """Stock data behind a pool of connections; safe to share between threads."""

    def __init__(self, url: str, *, connections_max: int, timeout_s: float) -> None:
        self._timeout_ms = str(int(timeout_s * 1000))
        self._pool = ConnectionPool(
            url,
            min_size=0,
            max_size=connections_max,
            timeout=min(timeout_s, 30.0),
            # A pooler such as PgBouncer between us has no room for prepared statements.
            kwargs={"prepare_threshold": None},
            check=ConnectionPool.check_connection,
            open=True,
        )

    def upsert(self, frame: pl.DataFrame) -> Upserted:
        """Write the rows that are new or differ, all of them or none; safe to repeat."""
        rows = to_stock_data(frame)
        for attempt in stamina.retry_context(on=TransientError, attempts=ATTEMPTS_MAX):
            with attempt, self._transaction() as connection:
                return _upsert(connection, rows)
        raise AssertionError("retry_context returns or raises")

    def read(self, symbols: list[str] | None = None) -> pl.DataFrame:
        """Return the stored rows of `symbols` (None: of all), sorted by key."""
        with self._transaction() as connection:
            if symbols is None:
                rows = connection.execute(_READ_ALL).fetchall()
            else:
                rows = connection.execute(_READ_SOME, (symbols,)).fetchall()
        return pl.DataFrame(rows, schema=STOCK_DATA, orient="row")

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    @contextmanager
    def _transaction(self) -> Generator[psycopg.Connection]:
        try:
            with self._pool.connection() as connection:
                connection.execute(
                    "SELECT set_config('statement_timeout', %s, true)", (self._timeout_ms,)
                )
                yield connection
        except (psycopg.Error, PoolTimeout) as error:
            raise _error_of(error) from None


def _upsert(connection: psycopg.Connection, rows: pl.DataFrame) -> Upserted:
    connection.execute("CREATE TEMP TABLE incoming (LIKE stock_data) ON COMMIT DROP")
    with connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for text in _csv_chunks(rows):
                copy.write(text)
        # A fresh temporary table has no statistics: the join would be planned for a few rows.
        cursor.execute("ANALYZE incoming")
        counted = cursor.execute(_UPSERT).fetchone()
    inserted, updated = counted or (0, 0)
    return Upserted(inserted, updated, rows.height - inserted - updated)


def _csv_chunks(rows: pl.DataFrame) -> Iterator[str]:
    for start in range(0, rows.height, _CHUNK_ROWS):
        yield rows.slice(start, _CHUNK_ROWS).write_csv(include_header=False)


def _error_of(error: Exception) -> PlatformError:
    """Return the error as one of ours, without the address or the rows in its message."""
    if isinstance(error, PoolTimeout):
        return TransientError("no connection to Postgres became free in time")
    state = getattr(error, "sqlstate", None) or "no answer"
    message = f"Postgres: {type(error).__name__} ({state})"
    if isinstance(error, errors.DataError | errors.IntegrityError):
        return InvalidDataError(message)
    # Operational: gone, restarting, out of connections, deadlock, could not serialize, timeout.
    if isinstance(error, errors.OperationalError):
        return TransientError(message)
    return PermanentError(message)
