"""How far each tailer is, saved so that a crash leaves the old state or the new one."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from stock_platform.domain.problems import Permanent
from stock_platform.stream.segments import sync_folder

FOLDER = "offsets"


class Checkpoint(msgspec.Struct, frozen=True):
    """`offset`: everything before it is done, on disk or at its destination.

    `state` is the tailer's own, as JSON.
    """

    offset: int
    state: msgspec.Raw = msgspec.Raw(b"null")


def path_of(journal: Path, tailer: str) -> Path:
    return journal / FOLDER / f"{tailer}.json"


def load(journal: Path, tailer: str) -> Checkpoint | None:
    """Read a tailer's checkpoint; None when it never saved one."""
    path = path_of(journal, tailer)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Permanent(f"the checkpoint {path} is damaged: {error}") from error


def save(journal: Path, tailer: str, checkpoint: Checkpoint) -> None:
    """Replace a tailer's checkpoint: temp file, fsync, rename, fsync of the folder."""
    write_atomically(path_of(journal, tailer), msgspec.json.encode(checkpoint))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file as a whole, durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def released_offsets(journal: Path, tailers: Iterable[str] | None = None) -> dict[str, int]:
    """Give each tailer's offset; one of `tailers` without a checkpoint is at 0."""
    if tailers is None:
        tailers = [path.stem for path in (journal / FOLDER).glob("[!.]*.json")]
    found = {name: load(journal, name) for name in tailers}
    return {name: point.offset if point else 0 for name, point in found.items()}


def only_one(journal: Path, tailer: str) -> int:
    """Take a tailer's lock for the life of this process, or raise `Permanent`."""
    path = journal / FOLDER / f"{tailer}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Permanent(f"another {tailer} tailer works on {journal}") from None
    return fd
