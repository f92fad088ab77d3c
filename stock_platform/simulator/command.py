"""Run a simulation from the command line until it is interrupted."""

import signal
import threading
from pathlib import Path

from stock_platform.simulator.serve import running


def simulate(script_path: Path | None, port: int = 0) -> None:
    """Serve a script, print how to reach it, and stop cleanly on SIGINT or SIGTERM.

    The environment variables come one a line, ready for `eval` in a shell.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with running(script_path, port) as simulator:
        market = simulator.market
        sessions = market.sessions
        _say(f"# simulator at {simulator.url}")
        if sessions:
            _say(f"# {market.listings().height} symbols, {sessions[0]} to {sessions[-1]}")
        for name, value in simulator.environment().items():
            _say(f"export {name}='{value}'")
        stopped.wait()


def _say(line: str) -> None:
    # Flushed at once: whoever started this process waits for these lines.
    print(line, flush=True)  # noqa: T201 - the command's output
