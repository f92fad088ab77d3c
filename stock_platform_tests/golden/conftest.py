"""Copies of what the commit before the rebuild wrote."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stock_platform_tests.golden.facts import FACTS, GOLDEN


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    """The definitions of the code under test, with the first session pinned."""
    command = [sys.executable, "-W", "ignore", str(GOLDEN / "read_graph.py")]
    home = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lake"
    shutil.copytree(GOLDEN / "lake", folder)
    known = {"STOCKS_LAKE": str(folder), "STOCKS_SERVING_SQLITE": str(tmp_path / "new.sqlite")}
    # A watched symbol is expected now whether or not a snapshot lists it: ZZZZ was not then.
    known["STOCKS_SYMBOLS"] = FACTS["contents"]["environment"]["STOCKS_SYMBOLS"].replace(
        ",ZZZZ", ""
    )
    for name, value in (FACTS["contents"]["environment"] | known).items():
        monkeypatch.setenv(name, value)
    return folder
