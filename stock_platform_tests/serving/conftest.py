"""Servers the tests of serving share: started once, a database of its own for each test."""

import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from stock_platform.serving.sqs import QuoteQueue, create_queues
from stock_platform.settings import PostgresSettings, QueueSettings, ServingSettings
from stock_platform_tests.serving.faulty import Faults, faulty
from stock_platform_tests.serving.running import fresh_database, running_aws, running_postgres


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


@pytest.fixture(scope="session")
def aws_server() -> Generator[str]:
    with running_aws() as url:
        yield url


@pytest.fixture
def aws(aws_server: str) -> ServingSettings:
    """Name stores of its own for each test on one moto server."""
    return aws_settings(aws_server)


@pytest.fixture
def faults(aws_server: str) -> Generator[Faults]:
    with faulty(aws_server) as proxy:
        yield proxy


@pytest.fixture
def faulty_aws(faults: Faults) -> ServingSettings:
    """As `aws`, with a proxy in between that misbehaves as `faults` plans."""
    return aws_settings(faults.url)


def aws_settings(endpoint: str) -> ServingSettings:
    return ServingSettings(
        aws_endpoint=endpoint,
        aws_access_key="test",
        aws_secret_key="test",
        latest_quotes_table=f"quotes-{uuid.uuid4().hex}",
        quotes_stream=f"quotes-{uuid.uuid4().hex}",
    )


@pytest.fixture
def queue_settings() -> QueueSettings:
    """Name two queues nobody else has."""
    name = uuid.uuid4().hex
    return QueueSettings(quote_queue=f"requests-{name}", quote_dead_letters=f"dead-{name}")


@pytest.fixture
def queue(queue_settings: QueueSettings, aws: ServingSettings) -> QuoteQueue:
    create_queues(queue_settings, aws)
    return QuoteQueue.open(queue_settings, aws)


@pytest.fixture
def troubled_queue(queue_settings: QueueSettings, faulty_aws: ServingSettings) -> QuoteQueue:
    create_queues(queue_settings, faulty_aws)
    return QuoteQueue.open(queue_settings, faulty_aws)
