"""Real servers for the sidecar's tests: Redis from its wheel, S3 from moto."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform_tests.stream.servers import Bucket, Redis, bucket, redis_server, s3_server


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(_redis: Redis) -> Redis:
    """An empty Redis."""
    _redis.client.flushall()
    return _redis


@pytest.fixture(scope="session")
def _s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def s3(_s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket of a name of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return bucket(_s3)


@pytest.fixture
def store(s3: Bucket) -> ArchiveStore:
    return ArchiveStore(StoreOptions(s3.name, "us-east-1", s3.url))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[JournalWriter]:
    journal = JournalWriter(folder, segment_bytes=200_000, bytes_max=100_000_000, policy="pause")
    yield journal
    journal.close()
