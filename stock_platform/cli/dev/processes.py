"""Child processes of a command: started in a group of their own, stopped as a group."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from stock_platform.errors import PermanentError

STOP_S = 20.0
_PR_SET_PDEATHSIG = 1
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


@contextmanager
def child(
    name: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path | None = None,
    python: Sequence[str] = (),
    keep_open: Sequence[int] = (),
) -> Generator[subprocess.Popen[bytes]]:
    """Run `python -m arguments` while the context lasts, its output going to `log`.

    Without `log` the output goes where this process writes. `python` holds options of
    the interpreter. The child leads a process group and the whole group is stopped, so
    that a daemon's code servers and runs do not outlive it; it also ends when this process
    is killed. It inherits the file descriptors `keep_open`, such as one that holds a lock.
    """
    with log.open("wb") if log else nullcontext() as out:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *python, "-m", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            env={**os.environ, **environment},
            start_new_session=True,
            pass_fds=tuple(keep_open),
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
        )
    try:
        yield process
    finally:
        stop(process)
        if process.returncode not in {0, -signal.SIGTERM, -signal.SIGINT, 1}:
            where = f"; see {log}" if log else ""
            sys.stderr.write(f"{name} ended with {process.returncode}{where}\n")


def _end_with_parent() -> None:
    """Have Linux send SIGTERM when the parent dies, also of SIGKILL; elsewhere do nothing."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to a child's group, and SIGKILL after `STOP_S`."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def wait_for(
    what: str,
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    seconds: float,
) -> None:
    """Wait until `ready`; raise `PermanentError` when the child ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise PermanentError(f"{what} ended at once; {log} ends with: {log.read_text()[-600:]}")
        if time.monotonic() > deadline:
            raise PermanentError(f"{what} was not ready within {seconds:.0f} s; see {log}")
        time.sleep(0.1)
