"""Run a simulation as a process of its own: from the command line, or from a parent."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stock_platform.simulator.server import running

_READY = "# ready"
_STOP_S = 10.0


def simulate(script_path: Path | None, port: int = 0) -> None:
    """Serve a script, print how to reach it, and stop cleanly on SIGINT or SIGTERM.

    The environment variables come one a line, ready for `eval` in a shell.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with running(script_path, port) as simulator:
        sessions = simulator.market.sessions
        _say(f"# simulator at {simulator.url}")
        if sessions:
            _say(f"# {simulator.market.listings().height} symbols, {sessions[0]} to {sessions[-1]}")
        for name, value in simulator.environment().items():
            _say(f"export {name}='{value}'")
        _say(_READY)
        stopped.wait()


@contextmanager
def launched(script_path: Path | None = None, port: int = 0) -> Iterator[dict[str, str]]:
    """Run `simulate` in a child process and yield the variables it tells to export.

    The truth of the child's market is `make_market(load_script(script_path))`.
    """
    arguments = [str(script_path or "-"), str(port)]
    command = [sys.executable, "-m", "stock_platform.simulator", *arguments]
    # Our own module and the caller's script path: nothing foreign in the command.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        try:
            yield _told(child)
        finally:
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _told(child: subprocess.Popen[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in child.stdout:
        if line.startswith(_READY):
            return variables
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value.strip("'")
    raise RuntimeError(f"the simulator ended with code {child.wait()} before it was ready")


def _say(line: str) -> None:
    # Flushed at once: whoever started this process waits for these lines.
    print(line, flush=True)  # noqa: T201 - the command's output
