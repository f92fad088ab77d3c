"""The platform as a stranger installs it: a wheel of this tree in an environment of its own."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from stock_platform_tests.house.repository import ROOT

_UV_FOUND = (shutil.which("uv"), ROOT / ".tools" / "bin" / "uv")


def uv(*arguments: str | Path) -> str:
    """Run uv without the network if its cache suffices, else with it; return what it prints."""
    program = next(str(path) for path in _UV_FOUND if path and Path(path).exists())
    environment = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    # The demo imports a fifth of it all: compiling everything would take longer than the demo.
    environment["UV_COMPILE_BYTECODE"] = "0"
    for offline in (["--offline"], []):
        ended = subprocess.run(
            [program, *offline, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode == 0:
            return ended.stdout
    raise AssertionError(f"uv {arguments[0]}: {ended.stderr[-2000:]}")


def install_wheel(folder: Path) -> Path:
    """Build the wheel and install it with the locked versions; return where its commands are."""
    uv("build", "--quiet", "--wheel", "--out-dir", folder / "dist")
    [wheel] = (folder / "dist").glob("*.whl")
    locked = uv("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project")
    (folder / "locked.txt").write_text(locked)
    uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "-r", folder / "locked.txt")
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return folder / "venv" / "bin"


def loaded_assets(port: int, *, seconds: float) -> set[str]:
    """Wait until a Dagster UI on `port` has loaded the definitions; return its asset keys."""
    query = {"query": "{ assetNodes { assetKey { path } } }"}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            response = httpx2.post(f"http://127.0.0.1:{port}/graphql", json=query, timeout=20)
        except httpx2.TransportError:
            time.sleep(0.5)
            continue
        if nodes := response.json()["data"]["assetNodes"]:
            return {"/".join(node["assetKey"]["path"]) for node in nodes}
        time.sleep(0.5)
    raise AssertionError(f"no assets on port {port} within {seconds:.0f} s")
