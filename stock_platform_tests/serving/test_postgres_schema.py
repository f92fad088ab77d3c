"""Migrations lead from any earlier revision to the newest, once, and keep the rows."""

from concurrent.futures import ProcessPoolExecutor
from datetime import date
from decimal import Decimal
from multiprocessing import get_context

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from stock_platform.serving.postgres.schema import migrate
from stock_platform.serving.postgres.store import open_stock_data
from stock_platform.settings import PostgresSettings

_ALEMBIC = Config()
_ALEMBIC.set_main_option("script_location", "stock_platform.serving.postgres:migrations")
NEWEST = ScriptDirectory.from_config(_ALEMBIC).get_current_head()


@pytest.fixture
def url(stock_data_settings: PostgresSettings) -> str:
    server = stock_data_settings.postgres_url.get_secret_value()
    if server:
        return server.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{stock_data_settings.serving_sqlite}"


def ask(url: str, query: str) -> list[tuple]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(query))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_an_empty_database_gets_the_whole_schema(url: str) -> None:
    migrate(url)

    assert _indexed_columns(url) == [("symbol", "date")]
    assert ask(url, "SELECT version_num FROM alembic_version") == [(NEWEST,)]
    assert ask(url, "SELECT * FROM stock_data_numbers") == []


def test_migrating_again_changes_nothing(url: str) -> None:
    migrate(url)
    migrate(url)

    assert ask(url, "SELECT version_num FROM alembic_version") == [(NEWEST,)]


def test_rows_of_the_previous_revision_survive(
    url: str, stock_data_settings: PostgresSettings
) -> None:
    migrate(url, "0001")
    ask(
        url,
        "INSERT INTO stock_data VALUES ('2026-11-20', 'GOOG', '1', '2', '0.5', '132.06', '7', "
        "NULL, NULL, NULL)",
    )

    with open_stock_data(stock_data_settings) as store:
        stored = store.read()

    assert stored.select("date", "symbol", "close").rows() == [
        (date(2026, 11, 20), "GOOG", Decimal("132.06"))
    ]
    [(number,)] = ask(url, "SELECT close FROM stock_data_numbers")
    assert float(number) == 132.06


def test_a_revision_that_fails_leaves_the_previous_one_whole(url: str) -> None:
    migrate(url, "0001")
    ask(url, "CREATE TABLE stock_data_numbers (in_the_way INTEGER)")

    with pytest.raises(DBAPIError):
        migrate(url)

    assert ask(url, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert "stock_data_date" not in _indexes(url)


def test_processes_that_start_together_migrate_once(url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        list(processes.map(migrate, [url] * 3))

    assert ask(url, "SELECT version_num FROM alembic_version") == [(NEWEST,)]


def test_sqlite_sorts_numbers_as_numbers_in_the_view(
    url: str, stock_data_settings: PostgresSettings
) -> None:
    migrate(url)
    values = "'1', '1', '1', '{}', '1', NULL, NULL, NULL"
    ask(url, f"INSERT INTO stock_data VALUES ('2026-11-20', 'A', {values.format('99.5')})")
    ask(url, f"INSERT INTO stock_data VALUES ('2026-11-20', 'B', {values.format('132.06')})")

    [(highest,)] = ask(url, "SELECT max(close) FROM stock_data_numbers")

    assert float(highest) == 132.06


def test_one_index_on_symbol_and_date_and_one_on_date(url: str) -> None:
    migrate(url)

    assert "stock_data_date" in _indexes(url)
    assert ("symbol", "date") in _indexed_columns(url)


def _indexes(url: str) -> set[str | None]:
    found = inspect(create_engine(url, poolclass=NullPool)).get_indexes("stock_data")
    return {index["name"] for index in found}


def _indexed_columns(url: str) -> list[tuple[str, ...]]:
    tables = inspect(create_engine(url, poolclass=NullPool))
    return [tuple(each["column_names"]) for each in tables.get_unique_constraints("stock_data")]
