"""`stocks dev`: the Dagster UI and daemon on this machine, until interrupted."""

import signal
import socket
from importlib.resources import files
from pathlib import Path
from types import FrameType

from stock_platform.cli.dev.home import prepare_home
from stock_platform.cli.dev.processes import child
from stock_platform.cli.terminal import console
from stock_platform.errors import PermanentError
from stock_platform.settings import Settings

HOST = "127.0.0.1"
"""Dagster's UI has no login, so it listens on this machine only."""
DEFAULT_HOME = Path(".dagster")
WORKSPACE = "workspace.yaml"
"""Names the location as a checkout does: Dagster stores states of sensors under that name."""


def run_dev(port: int, home: Path | None) -> int:
    """Run Dagster until SIGINT or SIGTERM, which end every process of it; return the exit code.

    `home` is DAGSTER_HOME where it is set and `.dagster` otherwise. Raises
    `PermanentError` when the port is in use or `home` cannot be used.
    """
    chosen = (home or Settings.from_env().dagster.home or DEFAULT_HOME).resolve()
    _require_free(port)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    terminal = console(stderr=True)
    try:
        if not prepare_home(chosen):
            terminal.print(f"stocks: {chosen} has a dagster.yaml of its own; it is used unchanged")
        terminal.print(f"stocks: Dagster on http://{HOST}:{port}, its data in {chosen}")
        # Dagster recommends `dg dev`, which needs a checkout; a wheel has none.
        quiet = ["-W", "ignore:Function `dev_command`"]
        arguments = ["dagster", "dev", "-w", str(files("stock_platform.cli.dev") / WORKSPACE)]
        where = ["-h", HOST, "-p", str(port)]
        with child(
            "Dagster", [*arguments, *where], environment={"DAGSTER_HOME": str(chosen)}, python=quiet
        ) as dagster:
            return 1 if dagster.wait() else 0
    except KeyboardInterrupt:
        return 0


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PermanentError(f"port {port} is in use; choose another with --port") from None


def _stop(number: int, frame: FrameType | None) -> None:
    # A second signal must not interrupt the stopping: it has a bound of its own.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
