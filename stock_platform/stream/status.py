"""The status file of each process of the sidecar, replaced once a second.

Files and not pipes: supervisor, doctor and the Dagster sensor read the same
facts, and the age of its file shows a process that hangs.
"""

import os
import time
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger(__name__)
FOLDER = "status"
FRESH_S = 10.0


def save(journal: Path, process: str, facts: dict[str, object]) -> None:
    """Replace a process's status file; not synced, it is worth nothing after a crash.

    On a full disk the old file stays and an error is logged: the process goes on.
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
    """Return the last status of every process that ever wrote one, by its name."""
    found = {}
    for path in (journal / FOLDER).glob("[!.]*.json"):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=dict)
        except (OSError, msgspec.MsgspecError):
            continue
    return found
