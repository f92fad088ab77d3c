"""`stocks dev`: the Dagster UI and daemon on this machine, until interrupted."""

import signal
import socket
from importlib.resources import files
from pathlib import Path
from types import FrameType

from stock_platform.cli.dev.home import fail_interrupted_runs, locked, prepare_home
from stock_platform.cli.dev.processes import child
from stock_platform.cli.terminal import console
from stock_platform.errors import PermanentError
from stock_platform.settings import Settings

HOST = "127.0.0.1"
"""Dagster's UI has no login, so it listens on this machine only."""
DEFAULT_HOME = Path(".dagster")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORKSPACE = "workspace.yaml"
"""Names the location as a checkout does: Dagster stores states of sensors under that name."""


def run_dev(port: int, home: Path | None) -> int:
    """Run Dagster until SIGINT, SIGTERM or SIGHUP, which end all of it; return the exit code.

    `home` is DAGSTER_HOME where it is set and `.dagster` otherwise. Raises
    `PermanentError` when the port is in use or `home` cannot be used.
    """
    chosen = (home or Settings.from_env().dagster.home or DEFAULT_HOME).resolve()
    _require_free(port)
    for number in _STOPPING:
        signal.signal(number, _stop)
    try:
        with locked(chosen) as lock:
            return _run(port, chosen, lock)
    except OSError as error:
        raise PermanentError(f"{chosen} cannot be used: {error.strerror}") from None
    except KeyboardInterrupt:
        return 0


def _run(port: int, home: Path, lock: int) -> int:
    terminal = console(stderr=True)
    if not prepare_home(home):
        terminal.print(f"stocks: {home} has a dagster.yaml of its own; it is used unchanged")
    if interrupted := fail_interrupted_runs(home):
        terminal.print(f"stocks: {interrupted} runs were interrupted by a kill; marked as failed")
    terminal.print(f"stocks: Dagster on http://{HOST}:{port}, its data in {home}")
    # Dagster recommends `dg dev`, which needs a checkout; a wheel has none.
    quiet = ["-W", "ignore:Function `dev_command`"]
    arguments = ["dagster", "dev", "-w", str(files("stock_platform.cli.dev") / WORKSPACE)]
    with child(
        "Dagster",
        [*arguments, "-h", HOST, "-p", str(port)],
        environment={"DAGSTER_HOME": str(home)},
        python=quiet,
        keep_open=[lock],
    ) as dagster:
        return 1 if dagster.wait() else 0


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PermanentError(f"port {port} is in use; choose another with --port") from None


def _stop(number: int, frame: FrameType | None) -> None:
    # A second signal must not interrupt the stopping: it has a bound of its own.
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
