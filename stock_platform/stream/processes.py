"""The sidecar's processes: started, restarted when they die or hang, stopped in order."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from typing import Any

import structlog

from stock_platform.stream import status

log = structlog.get_logger(__name__)
RESTART_S = 0.5
RESTART_MAX_S = 15.0
GOOD_AFTER_S = 30.0
HUNG_S = 60.0
POLL_S = 1.0
_SPAWN = multiprocessing.get_context("spawn")


def run_until_stopped(stop: threading.Event, every_s: float) -> Iterator[None]:
    """Return a turn every `every_s`, until SIGTERM or the supervisor's death."""
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    turn_at = 0.0
    while not stop.is_set() and status.parent_lives():
        if time.monotonic() >= turn_at:
            yield
            turn_at = time.monotonic() + every_s
        stop.wait(POLL_S)


@dataclass(slots=True)
class ManagedProcess:
    """One process to be kept running."""

    name: str
    main: Callable[[Any], None]
    options: object = field(repr=False)
    hung_s: float = HUNG_S
    """A status older than this means it hangs; 0: it may be silent for long."""
    restarts: int = 0
    process: SpawnProcess | None = None
    _started_at: float = 0.0
    _start_at: float = 0.0
    _wait_s: float = RESTART_S

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def ensure_running(self, now: float) -> None:
        """Start the process, or start it again some time after it died."""
        if self.alive:
            return
        if self.process is not None:
            code = self.process.exitcode
            self.process.close()
            self.process = None
            if now - self._started_at > GOOD_AFTER_S:
                self._wait_s = RESTART_S
            self._start_at = now + self._wait_s
            self._wait_s = min(RESTART_MAX_S, self._wait_s * 2)
            self.restarts += 1
            log.error("process_died", process=self.name, code=code)
        if now >= self._start_at:
            self.process = _SPAWN.Process(
                target=self.main, args=(self.options,), name=f"stocks-stream-{self.name}"
            )
            self.process.start()
            self._started_at = now

    def kill_hung(self, reported_at: float) -> None:
        """End a process whose status is older than any pause it is allowed."""
        last = max(reported_at, time.time() - (time.monotonic() - self._started_at))
        hung = 0 < self.hung_s < time.time() - last
        if self.alive and hung and self.process is not None:
            log.error("process_hung", process=self.name, silent_s=round(time.time() - last))
            self.process.kill()

    def stop(self, timeout_s: float) -> bool:
        """Ask the process to end and wait; kill it when it does not. True: it ended itself."""
        process = self.process
        if process is None:
            return True
        process.terminate()
        process.join(timeout_s)
        ended = process.exitcode is not None
        if not ended:
            log.error("process_killed", process=self.name, signal=signal.SIGKILL.name)
            process.kill()
            process.join()
        process.close()
        self.process = None
        return ended
