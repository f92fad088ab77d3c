"""The demo and `stocks dev` as a stranger runs them: from a wheel, in an empty folder."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from stock_platform_tests.cli.installed_wheel import install_wheel, loaded_assets
from stock_platform_tests.free_ports import free_port

SECONDS_MAX = 280


@pytest.fixture(scope="module")
def stocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(tmp_path_factory.mktemp("wheel")) / "stocks"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_what_the_demo_loses_is_healed_without_any_manual_step(stocks: Path, empty: Path) -> None:
    command = [str(stocks), "demo", "--json", "--symbols", "20"]

    demo = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)

    assert demo.returncode == 0, demo.stderr[-2000:]
    result = json.loads(demo.stdout.splitlines()[-1])
    assert (result["missing"], result["mismatched"]) == (0, 0)
    assert result["healed"] > 390 * 2
    assert result["expected"] == 20 * 390 * 5
    assert result["observed"] + result["empty"] == result["expected"]


@pytest.mark.timeout(240)
def test_dev_shows_the_assets_and_leaves_nothing_running(stocks: Path, empty: Path) -> None:
    port = free_port()

    with (empty / "log").open("wb") as log:
        dev = subprocess.Popen([str(stocks), "dev", "--port", str(port)], stdout=log, stderr=log)
    try:
        assets = loaded_assets(port, seconds=150)
        family = psutil.Process(dev.pid).children(recursive=True)
    finally:
        dev.terminate()
        code = dev.wait(60)

    assert code == 0
    assert "lake/minute_bars" in assets
    assert len(family) >= 3
    assert [each for each in family if _works(each)] == []
    assert (empty / ".dagster" / "dagster.yaml").is_file()


def _works(process: psutil.Process) -> bool:
    """A zombie has ended; its new parent has only not asked for its exit code yet."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
