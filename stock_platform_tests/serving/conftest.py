"""Servers the tests of serving share: started once, a database of its own for each test."""

import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from stock_platform.settings import PostgresSettings
from stock_platform_tests.serving.running import fresh_database, running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Generator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Generator[str]:
    with fresh_database(postgres_server, f"test_{uuid.uuid4().hex}") as url:
        yield url


@pytest.fixture(params=["postgres", "sqlite"])
def stock_data_settings(request: pytest.FixtureRequest, tmp_path: Path) -> PostgresSettings:
    """Name an empty store of each kind."""
    file = tmp_path / "serving.sqlite"
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return PostgresSettings(postgres_url=url, serving_sqlite=file, postgres_timeout_s=60)
