"""The demo, small: what it loses is found and healed by sensors alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS_MAX = 280


@pytest.mark.timeout(SECONDS_MAX + 20)
def test_what_the_demo_loses_is_healed_without_any_manual_step(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "stock_platform.cli", "demo", "--json"]
    options = ["--symbols", "40", "--folder", str(tmp_path / "demo")]

    demo = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
        env=dict(os.environ),
    )

    result = json.loads(demo.stdout.splitlines()[-1])
    assert demo.returncode == 0, demo.stderr[-2000:]
    assert (result["missing"], result["mismatched"]) == (0, 0)
    assert result["healed"] > 390 * 2
    assert result["expected"] == 40 * 390 * 5
    assert result["observed"] + result["empty"] == result["expected"]
