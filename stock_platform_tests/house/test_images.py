"""What the images configure is what `make dev` configures, on a Postgres and an S3 that work."""

import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import dagster as dg
import pytest
import yaml
from dagster._core.storage.compute_log_manager import ComputeIOType

from stock_platform_tests.house.repository import ROOT, text
from stock_platform_tests.serving.running import running_aws, running_postgres

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
LOG_KEY = ["run", "compute_logs", "step"]


def test_the_images_keep_the_policy_of_make_dev() -> None:
    images, dev = yaml.safe_load(text("docker/dagster.yaml")), yaml.safe_load(text("dagster.yaml"))

    assert {key: value for key, value in images.items() if key != "storage"} == dev


def test_the_images_storage_works_on_a_real_postgres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(text("docker/dagster.yaml"))
    with running_postgres() as url:
        # The server listens on a socket in the file system: libpq takes its folder from PGHOST.
        monkeypatch.setenv("PGHOST", parse_qs(urlsplit(url).query)["host"][0])
        monkeypatch.setenv("DAGSTER_POSTGRES_HOST", "")
        monkeypatch.setenv("DAGSTER_POSTGRES_USER", "postgres")
        monkeypatch.setenv("DAGSTER_POSTGRES_PASSWORD", "unused")
        monkeypatch.setenv("DAGSTER_POSTGRES_DB", "postgres")

        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            runs = instance.get_runs_count()

    assert runs == 0


def test_what_runs_print_goes_to_the_bucket_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(_prepared(tmp_path, DAGSTER_COMPUTE_LOGS_BUCKET="logs"))
    with running_aws() as url:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAGSTER_COMPUTE_LOGS_BUCKET", "logs")
        monkeypatch.setenv("DAGSTER_COMPUTE_LOGS_DIR", str(tmp_path / "storage"))
        bucket = boto3.client("s3")
        bucket.create_bucket(Bucket="logs")

        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            logs = instance.compute_log_manager
            with logs.open_log_stream(LOG_KEY, ComputeIOType.STDERR) as stream:
                assert stream is not None
                stream.write("forty bars healed")
            read = logs.get_log_data_for_type(LOG_KEY, ComputeIOType.STDERR, 0, None)

        [stored] = bucket.list_objects_v2(Bucket="logs")["Contents"]
    assert read is not None
    assert read[0] == b"forty bars healed"
    assert stored["Key"] == "dagster-compute-logs/storage/run/compute_logs/step.err"


def test_without_a_bucket_what_runs_print_stays_in_the_home(tmp_path: Path) -> None:
    configured = yaml.safe_load(_prepared(tmp_path))

    assert "compute_logs" not in configured
    assert configured == yaml.safe_load(text("dagster.yaml"))


def test_postgres_and_a_bucket_go_together(tmp_path: Path) -> None:
    configured = yaml.safe_load(
        _prepared(tmp_path, DAGSTER_POSTGRES_HOST="db", DAGSTER_COMPUTE_LOGS_BUCKET="logs")
    )

    assert {"storage", "compute_logs", "run_coordinator"} <= set(configured)


def _prepared(home: Path, **variables: str) -> str:
    """Return the dagster.yaml that the images' entrypoint writes under these variables."""
    environment = {
        "PATH": os.environ["PATH"],
        "DAGSTER_HOME": str(home / "prepared"),
        "STOCKS_INSTALLED": str(ROOT),
        **variables,
    }
    subprocess.run(["sh", str(ROOT / "docker/entrypoint"), "prepare"], env=environment, check=True)
    return (home / "prepared" / "dagster.yaml").read_text()


def test_what_the_image_copies_is_let_through() -> None:
    copied = {
        source.split("/")[0]
        for line in text("docker/Dockerfile").splitlines()
        if line.startswith("COPY") and "--from" not in line
        for source in line.split()[1:-1]
        if not source.startswith("--")
    }
    allowed = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}

    assert copied <= allowed
    assert all((ROOT / name).exists() for name in copied)
