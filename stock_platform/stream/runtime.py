"""What every process of the sidecar does at its start: logging, memory, and when to stop."""

import contextlib
import ctypes
import gc
import logging
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Iterator

import structlog

BLOCK_BYTES_KEPT = 16 * 1024 * 1024
POLL_S = 1.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def configure_logs(*, debug: bool) -> None:
    """Log one JSON object a line to stderr, in every process of the sidecar."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if debug else logging.INFO
        ),
        # One write a line, also unbuffered: the processes share the stream.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def tune_gc_and_malloc() -> None:
    """Keep the collector and the allocator out of the way; called once all is imported.

    What is alive after the start lives for ever, and nothing the processes of the
    sidecar do in bulk makes cycles. And glibc returns every block above 128 kB to
    the kernel, which zeroes its pages anew for the next batch.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, BLOCK_BYTES_KEPT)
        mallopt(_M_TRIM_THRESHOLD, BLOCK_BYTES_KEPT)


def parent_lives() -> bool:
    """Return whether the supervisor that started this process still runs."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def run_until_stopped(stop: threading.Event, every_s: float) -> Iterator[None]:
    """Yield once every `every_s` seconds, until SIGTERM or the supervisor's death."""
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    turn_at = 0.0
    while not stop.is_set() and parent_lives():
        if time.monotonic() >= turn_at:
            yield
            turn_at = time.monotonic() + every_s
        stop.wait(POLL_S)
