"""A serving store of any revision keeps its rows."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from stock_platform_tests.golden.facts import GOLDEN, materialize
from stock_platform_tests.serving.running import fresh_database, running_postgres


@pytest.mark.parametrize("file", ["serving.sqlite", "serving_r0001.sqlite"])
def test_a_store_of_any_revision_is_migrated_and_keeps_its_rows(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    shutil.copy(GOLDEN / file, tmp_path / "old.sqlite")
    monkeypatch.setenv("STOCKS_SERVING_SQLITE", str(tmp_path / "old.sqlite"))
    before = _rows_of(tmp_path / "old.sqlite")

    result = materialize("serving/stock_data", "2026-11-19")

    assert result.success
    assert _written(result) == (0, 0)
    assert _rows_of(tmp_path / "old.sqlite") == before
    assert _revision_of(tmp_path / "old.sqlite") == "0002"


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.mark.parametrize("file", ["serving.pg.sql", "serving_r0001.pg.sql"])
def test_a_postgres_of_any_revision_is_migrated_and_keeps_its_rows(
    lake: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str, file: str
) -> None:
    with fresh_database(postgres_server, file.replace(".", "_")) as url:
        _load(url, GOLDEN / file)
        monkeypatch.setenv("STOCKS_POSTGRES_URL", url)
        before = _asked(url, "SELECT * FROM stock_data ORDER BY symbol, date")

        result = materialize("serving/stock_data", "2026-11-19")

        assert result.success
        assert _written(result) == (0, 0)
        assert _asked(url, "SELECT * FROM stock_data ORDER BY symbol, date") == before
        assert _asked(url, "SELECT version_num FROM alembic_version") == [("0002",)]


def _written(result: dg.ExecuteInProcessResult) -> tuple[object, object]:
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    return metadata["rows inserted"].value, metadata["rows updated"].value


def _rows_of(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM stock_data ORDER BY symbol, date").fetchall()


def _revision_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def _asked(url: str, question: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def _load(url: str, dump: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(dump.read_bytes())
