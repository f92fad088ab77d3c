"""The folder that Dagster works in: policy, databases, and what belongs to somebody else."""

import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from stock_platform.cli.dev.home import policy_text, prepare_home
from stock_platform_tests.house.repository import text


def test_the_repository_and_the_package_hold_the_same_policy() -> None:
    assert text("dagster.yaml") == policy_text()


def test_a_fresh_home_holds_the_policy_and_its_databases(tmp_path: Path) -> None:
    ours = prepare_home(tmp_path / "home")

    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        limits = instance.get_concurrency_config().run_queue_config
    assert ours
    assert (tmp_path / "home" / "dagster.yaml").read_text() == policy_text()
    assert limits is not None
    assert [limit["key"] for limit in limits.tag_concurrency_limits] == [
        "heal/session",
        "heal/range",
    ]


def test_an_older_copy_of_the_policy_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("# Copied into DAGSTER_HOME by `make dev`\n{}\n")

    ours = prepare_home(tmp_path)

    assert ours
    assert yaml.safe_load((tmp_path / "dagster.yaml").read_text())["telemetry"]["enabled"] is False


def test_somebody_elses_configuration_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")

    ours = prepare_home(tmp_path)

    assert not ours
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"


def test_a_port_in_use_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = subprocess.run(
            [sys.executable, "-m", "stock_platform.cli", "dev", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 2
    assert ended.stderr == f"stocks: port {port} is in use; choose another with --port\n"


def test_a_home_that_cannot_be_made_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    arguments = ["dev", "--port", "39871", "--home", str(tmp_path / "file" / "home")]

    ended = subprocess.run(
        [sys.executable, "-m", "stock_platform.cli", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "cannot be used: Not a directory" in ended.stderr
    assert "Traceback" not in ended.stderr
