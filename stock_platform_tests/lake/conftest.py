"""Stores of both kinds: a folder, and a bucket of a real S3 server (moto) on loopback."""

import uuid
from collections.abc import Generator
from pathlib import Path

import boto3
import pytest

from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.settings import LakeSettings
from stock_platform_tests.lake.servers import running_s3


@pytest.fixture(scope="session")
def s3_server() -> Generator[str]:
    with running_s3() as url:
        yield url


@pytest.fixture
def disk_settings(tmp_path: Path) -> LakeSettings:
    return LakeSettings(lake=str(tmp_path / "lake"))


@pytest.fixture
def s3_settings(s3_server: str) -> LakeSettings:
    bucket = f"lake-{uuid.uuid4().hex}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=bucket)
    return LakeSettings.model_validate(
        {
            "lake": f"s3://{bucket}/some/prefix",
            "s3_endpoint": s3_server,
            "s3_access_key": "test",
            "s3_secret_key": "test",
        }
    )


@pytest.fixture
def disk(disk_settings: LakeSettings) -> ObjectStore:
    return open_store(disk_settings)


@pytest.fixture
def s3(s3_settings: LakeSettings) -> ObjectStore:
    return open_store(s3_settings)


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """Return an empty store of each kind."""
    return request.getfixturevalue(request.param)
