"""Bring the serving store's schema to the newest revision, from any earlier one.

The revisions lie in the package, so a wheel can migrate without a checkout.
Several processes may start at once: the second waits for the first, then finds
nothing left to do.
"""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

_LOCK = 4_712_026_001
"""A number that no other program uses as a Postgres advisory lock."""
_SCRIPTS = "stock_platform.serving.postgres:migrations"


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database at an SQLAlchemy `url` to `revision`, all of it or nothing."""
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _upgrade_alone(connection, revision)
    finally:
        engine.dispose()


def _upgrade_alone(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "sqlite":
        # pysqlite opens no transaction before DDL by itself; this one also is the lock.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "os")
    return config
