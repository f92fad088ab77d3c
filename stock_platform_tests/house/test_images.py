"""What the images configure is what `make dev` configures, on a Postgres that works."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
import yaml

from stock_platform_tests.house.repository import ROOT, text
from stock_platform_tests.serving.running import running_postgres


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
