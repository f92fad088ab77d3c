"""What each process of the sidecar says about itself, once a second, in a small file.

Files and not pipes: whoever asks - supervisor, doctor, a Dagster sensor - reads
the same facts, and a process that hangs is known by the age of its file.
"""

import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger(__name__)
FOLDER = "status"
FRESH_S = 10.0


def save(journal: Path, process: str, facts: dict[str, object]) -> None:
    """Replace a process's status file; not synced, it is worth nothing after a crash.

    On a full disk the old one stays: nobody stops working because he cannot say so.
    """
    folder = journal / FOLDER
    temporary = folder / f".{process}.{os.getpid()}"
    stamped = {"pid": os.getpid(), "at": time.time(), **facts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(stamped))
        temporary.replace(folder / f"{process}.json")
    except OSError as error:
        log.error("status_not_written", process=process, reason=error.strerror)


def load(journal: Path) -> dict[str, dict[str, object]]:
    """Return the last status of every process that ever wrote one."""
    found = {}
    for path in (journal / FOLDER).glob("[!.]*.json"):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=dict)
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def parent_lives() -> bool:
    """Whether the supervisor that started this process is still there."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def configure_logs(*, debug: bool) -> None:
    """One JSON object a line on stderr, in every process of the sidecar."""
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
