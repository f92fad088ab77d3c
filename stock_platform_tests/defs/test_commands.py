"""Dagster's own commands load the definitions without a warning."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from stock_platform_tests.defs.runs import DEFS

ROOT = Path(__file__).resolve().parents[2]
# Dagster recommends `dg check defs` in its place; the command is kept as long as it works.
SUPERSEDED = "ignore:Function `definitions_validate_command`"


def _run(*command: str, home: Path, option: str = "default") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DAGSTER_HOME": str(home), "DG_CLI_CONFIG": str(home / "dg.toml")}
    return subprocess.run(
        [sys.executable, "-W", option, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dg_lists_every_asset(tmp_path: Path) -> None:
    done = _run("dagster_dg_cli.cli", "list", "defs", "--json", home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    listed = json.loads(done.stdout[done.stdout.index("{\n") :])
    keys = {asset["asset_key"] for asset in listed["assets"]}
    assert keys == {key.to_user_string() for key in DEFS.resolve_asset_graph().get_all_asset_keys()}


@pytest.mark.parametrize(
    "command",
    [
        ("dagster_dg_cli.cli", "check", "defs"),
        ("dagster", "definitions", "validate", "-w", "workspace.yaml"),
    ],
    ids=["dg check defs", "dagster definitions validate"],
)
def test_a_check_of_the_definitions_warns_of_nothing(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = _run(*command, home=tmp_path, option=SUPERSEDED)

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_stocks_dev_names_the_location_as_a_checkout_does() -> None:
    """Dagster stores states of sensors under the name of the location."""
    package = ROOT / "stock_platform" / "cli" / "dev" / "workspace.yaml"

    texts = [path.read_text(encoding="utf-8") for path in (package, ROOT / "workspace.yaml")]

    assert yaml.safe_load(texts[0]) == yaml.safe_load(texts[1])
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert f"location_name: {name['code_location_name']}\n" in texts[0]
