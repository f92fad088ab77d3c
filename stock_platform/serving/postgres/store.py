"""`stock_data` for people with SQL: in Postgres where one is configured, else in SQLite.

Both hold the same content, take the same rows and are migrated by the same
revisions. An upsert that repeats an earlier one writes nothing.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import polars as pl
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.postgres.postgres import PostgresStockData
from stock_platform.serving.postgres.rows import Upserted
from stock_platform.serving.postgres.schema import migrate
from stock_platform.serving.postgres.sqlite import SqliteStockData
from stock_platform.settings import PostgresSettings


class StockData(Protocol):
    """What both stores do."""

    def upsert(self, frame: pl.DataFrame) -> Upserted:
        """Write the rows that are new or differ, all of them or none; safe to repeat."""
        ...

    def read(self, symbols: list[str] | None = None) -> pl.DataFrame:
        """Return the stored rows of `symbols` (None: of all), sorted by (symbol, date)."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...


@contextmanager
def open_stock_data(settings: PostgresSettings) -> Generator[StockData]:
    """Migrate the configured store to the newest revision and open it."""
    store = _open(settings)
    try:
        yield store
    finally:
        store.close()


def _open(settings: PostgresSettings) -> StockData:
    url = settings.postgres_url.get_secret_value()
    if not url:
        path = settings.serving_sqlite
        path.parent.mkdir(parents=True, exist_ok=True)
        _migrate(f"sqlite:///{path}")
        return SqliteStockData(path, timeout_s=settings.postgres_timeout_s)
    _migrate(_for_sqlalchemy(url))
    return PostgresStockData(
        url,
        connections_max=settings.postgres_connections_max,
        timeout_s=settings.postgres_timeout_s,
    )


def _for_sqlalchemy(url: str) -> str:
    try:
        parts = make_url(url)
    except ArgumentError:
        raise PermanentError(
            "STOCKS_POSTGRES_URL is not a URL: expected postgresql://..."
        ) from None
    if parts.drivername not in {"postgresql", "postgres"}:
        raise PermanentError(
            f"STOCKS_POSTGRES_URL: expected postgresql://, found {parts.drivername}://"
        )
    return parts.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    # SQLAlchemy's messages quote the statement and the address: only the kind is passed on.
    try:
        migrate(url)
    except OperationalError as error:
        raise TransientError(
            f"the serving store does not answer: {type(error.orig).__name__}"
        ) from None
    except SQLAlchemyError as error:
        raise PermanentError(
            f"the serving store cannot be migrated: {type(error).__name__}"
        ) from None
