"""Child processes of the demo: started with a log file, stopped by their pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from stock_platform.errors import PermanentError

STOP_S = 20.0


@contextmanager
def child(
    name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> Generator[subprocess.Popen[bytes]]:
    """Run `python -m arguments` while the context lasts, its output going to `log`.

    The child leads a process group of its own and the whole group is stopped, so
    that a daemon's code servers and runs do not outlive it.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)
        if process.returncode not in {0, -signal.SIGTERM, -signal.SIGINT, 1}:
            sys.stderr.write(f"{name} ended with {process.returncode}; see {log}\n")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a child's group to stop, and insist after `STOP_S`."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def wait_for(
    what: str,
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    seconds: float,
) -> None:
    """Wait until `ready`; raise `Permanent` when the child ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise PermanentError(f"{what} ended at once; {log} says: {log.read_text()[-600:]}")
        if time.monotonic() > deadline:
            raise PermanentError(f"{what} was not ready within {seconds:.0f} s; see {log}")
        time.sleep(0.1)
