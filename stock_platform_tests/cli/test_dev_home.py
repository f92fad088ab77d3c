"""The folder that Dagster works in: policy, databases, and what belongs to somebody else."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from stock_platform.cli.dev.home import (
    fail_interrupted_runs,
    locked,
    policy_text,
    prepare_home,
)
from stock_platform.errors import PermanentError
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


def test_two_do_not_work_on_one_home(tmp_path: Path) -> None:
    refused = pytest.raises(PermanentError, match="another `stocks dev` works on")

    with locked(tmp_path), refused, locked(tmp_path):
        pass


def test_the_lock_lasts_as_long_as_a_child_that_keeps_it(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    with locked(tmp_path) as lock:
        process = subprocess.Popen(sleeping, pass_fds=[lock])
    try:
        with pytest.raises(PermanentError), locked(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()

    with locked(tmp_path):
        pass


def test_runs_that_a_kill_interrupted_free_their_slots(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED)

    found = fail_interrupted_runs(tmp_path)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        after = instance.get_run_by_id(run.run_id)
    assert (found, after and after.status) == (1, dg.DagsterRunStatus.FAILURE)


@dg.job
def _nothing() -> None: ...


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from stock_platform.cli.dev.processes import child\n"
        # Its output goes to a file: a closed pipe would end it too.
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "with child('web', ['http.server', '0'], environment={}, log=log) as process:\n"
        "    print(process.pid, flush=True)\n"
        "    process.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert _ended(pid)


def _ended(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().split(") ")[1][0] == "Z":
            return True
        time.sleep(0.05)
    return False
