"""SQL while objects are replaced under it, on disk and through a real S3 server."""

import uuid
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import boto3
import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.errors import PermanentError
from stock_platform.lake import write
from stock_platform.lake.object_store import ObjectStore, VersionConflictError, open_store
from stock_platform.lake.sql.query import query
from stock_platform.lake.sql.snapshot_fs import SnapshotFileSystem
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import DAY
from stock_platform_tests.lake.servers import running_s3
from stock_platform_tests.lake.workers import SPAWN, bars, publish_in_turn, start

SYMBOLS = 20
PAUSE_S = 0.3
"""Between two replacements: about the time a query takes, so that many are hit by one."""
VERSIONS = "SELECT count(*) AS n, min(volume) AS least, max(volume) AS most FROM minute_bars"


@pytest.fixture(scope="session")
def bucket_server() -> Generator[str]:
    with running_s3() as url:
        yield url


@pytest.fixture(params=["disk", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> LakeSettings:
    if request.param == "disk":
        return LakeSettings(lake=str(tmp_path / "lake"))
    url: str = request.getfixturevalue("bucket_server")
    bucket = f"lake-{uuid.uuid4().hex}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
        Bucket=bucket
    )
    return LakeSettings.model_validate(
        {
            "lake": f"s3://{bucket}/some/prefix",
            "s3_endpoint": url,
            "s3_access_key": "test",
            "s3_secret_key": "test",
        }
    )


@pytest.fixture
def store(settings: LakeSettings) -> ObjectStore:
    return open_store(settings)


def test_a_lake_is_asked_wherever_it_is(store: ObjectStore) -> None:
    rows = bars(SYMBOLS, range(390), "final", at=timedelta())
    write.publish_minute_bars(store, DAY, rows)

    answer = query(
        store, "SELECT * EXCLUDE session FROM minute_bars WHERE session = '2026-11-19' ORDER BY ALL"
    )

    assert answer.cast(MINUTE_BARS).equals(rows)
    assert query(store, "SELECT * FROM daily_bars_adjusted").is_empty()


def test_a_query_never_mixes_two_versions_of_an_object(
    store: ObjectStore, settings: LakeSettings
) -> None:
    ready = SPAWN.Event()
    publisher = start(publish_in_turn, settings, SYMBOLS, PAUSE_S, ready)
    assert ready.wait(60)

    answers = pl.concat(query(store, VERSIONS) for _ in range(25))
    publisher.kill()
    publisher.join()

    assert answers["n"].unique().to_list() == [SYMBOLS * 390]
    assert answers["least"].equals(answers["most"])
    assert answers["least"].n_unique() > 1


def test_a_lake_in_s3_can_not_be_written_by_sql(store: ObjectStore) -> None:
    write.publish_minute_bars(store, DAY, bars(1, range(1), "final", at=timedelta()))
    listed = store.list("")

    with pytest.raises(PermanentError):
        query(store, "WITH x AS (COPY (SELECT 1) TO 'lake://objects/x.csv') SELECT * FROM x")

    assert store.list("") == listed


def test_pinned_files_are_read_only_and_of_one_version(store: ObjectStore) -> None:
    version = store.put_if_match("t/data.parquet", b"0123456789", None)
    files = SnapshotFileSystem(store, {entry.path: entry for entry in store.list("")})

    with files.open("lake://objects/t/data.parquet", "rb") as reader:
        reader.seek(3)
        assert reader.read(4) == b"3456"
    with pytest.raises(PermissionError):
        files.open("lake://objects/t/data.parquet", "wb")
    assert files.glob("lake://objects/*/data.parquet") == ["objects/t/data.parquet"]

    store.put_if_match("t/data.parquet", b"9876543210", version)
    with pytest.raises(VersionConflictError):
        files.fetch("objects/t/data.parquet", 0, 4)
