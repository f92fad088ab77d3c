"""Run one step in a process of its own, for its time and its peak memory alone."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """What one step took and gave."""

    seconds: float
    processor_s: float
    """Of all threads: what the step takes on a machine that is busy with other things."""
    peak_gb: float
    result: Any


def measured(work: Callable[..., Any], *arguments: Any) -> Step:
    """Call `work` in a fresh process; imports are not counted in the time, memory is all of it."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, work, arguments))
    process.start()
    there.close()
    try:
        return here.recv()
    finally:
        process.join()


def _run(out: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    began, busy = time.perf_counter(), time.process_time()
    result = work(*arguments)
    seconds, processor_s = time.perf_counter() - began, time.process_time() - busy
    # Linux counts kilobytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    out.send(Step(seconds, processor_s, peak, result))


def best_of(times: int, work: Callable[[], object]) -> float:
    """Return the shortest of several runs, in seconds: the one least disturbed by neighbours."""
    return min(_seconds(work) for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
