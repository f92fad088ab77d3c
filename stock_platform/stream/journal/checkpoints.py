"""How far each consumer is, saved so that a crash leaves the old state or the new one."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from stock_platform.errors import PermanentError
from stock_platform.stream.journal.segments import sync_folder

FOLDER = "offsets"


class Checkpoint(msgspec.Struct, frozen=True):
    """`offset`: everything before it is on disk or at its destination.

    `state` is the sink's own, as JSON; it is given back by `checkpoints.load`.
    """

    offset: int
    state: msgspec.Raw = msgspec.Raw(b"null")
    generation: int = 0
    """Counts a sink's checkpoints, for one that acts only on what is on disk."""


def path_of(journal: Path, consumer: str) -> Path:
    return journal / FOLDER / f"{consumer}.json"


def load(journal: Path, consumer: str) -> Checkpoint | None:
    """Read a consumer's checkpoint; None when it never saved one."""
    path = path_of(journal, consumer)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise PermanentError(f"the checkpoint {path} is damaged: {error}") from error


def save(journal: Path, consumer: str, checkpoint: Checkpoint) -> None:
    """Replace a consumer's checkpoint: temp file, fsync, rename, fsync of the folder."""
    write_atomically(path_of(journal, consumer), msgspec.json.encode(checkpoint))


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


def released_offsets(journal: Path, consumers: Iterable[str] | None = None) -> dict[str, int]:
    """Return each consumer's offset; one of `consumers` without a checkpoint is at 0."""
    if consumers is None:
        consumers = [path.stem for path in (journal / FOLDER).glob("[!.]*.json")]
    found = {name: load(journal, name) for name in consumers}
    return {name: point.offset if point else 0 for name, point in found.items()}


def lock_consumer(journal: Path, consumer: str) -> int:
    """Lock a consumer for the life of this process; raise `PermanentError` when it is locked."""
    path = journal / FOLDER / f"{consumer}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise PermanentError(f"another {consumer} process works on {journal}") from None
    return fd


class CheckpointWriter:
    """Saves a consumer's newest checkpoint from a thread of its own.

    An fsync waits for the disk, sometimes for a tenth of a second; the consumer does not.
    """

    def __init__(self, journal: Path, consumer: str, prepare: Callable[[], None]) -> None:
        self.saved: Checkpoint | None = None
        """The newest checkpoint that survives a loss of power."""
        self._journal = journal
        self._consumer = consumer
        self._prepare = prepare
        self._newest: Checkpoint | None = None
        self._wake = threading.Event()
        self._stop = False
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def save(self, checkpoint: Checkpoint) -> None:
        """Queue `checkpoint` to be saved soon; a newer one replaces it."""
        if self._failed:
            raise self._failed
        self._newest = checkpoint
        self._wake.set()

    def close(self) -> None:
        """Save the last checkpoint and end the thread."""
        self._stop = True
        self._wake.set()
        self._thread.join()
        if self._failed:
            raise self._failed

    def _work(self) -> None:
        while not (self._stop and self._newest is None):
            self._wake.wait()
            self._wake.clear()
            checkpoint, self._newest = self._newest, None
            if checkpoint is not None:
                try:
                    self._prepare()
                    save(self._journal, self._consumer, checkpoint)
                    self.saved = checkpoint
                except OSError as error:
                    self._failed = error
                    return
            if self._stop:
                self._wake.set()


def unlock(lock: int) -> None:
    """Release the lock of `lock_consumer`."""
    os.close(lock)
