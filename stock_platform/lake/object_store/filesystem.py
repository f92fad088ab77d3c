"""The lake in a local folder: flock, temporary file, fsync, rename.

A file system has no conditional write, so a lock stands for it: whoever
replaces an object holds the lock of its stripe while comparing the version and
renaming. Readers take no lock; a rename is atomic and an open file stays whole.
"""

import fcntl
import os
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from uuid import uuid4

from stock_platform.errors import PermanentError
from stock_platform.lake.object_store.interface import (
    ObjectMeta,
    Version,
    VersionConflictError,
    validated_path,
)

LOCKS_MAX = 256
"""Lock files are stripes over all objects, so their number is bounded."""
STALE_AFTER_S = 3600
"""A temporary file this old belongs to a writer that died."""

# Names with a leading dot are outside every glob of every engine, and of `list`.
_LOCKS = ".locks"
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class FileStore:
    """A folder as a store. Every process may have its own; the locks are the system's."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path, *, create: bool = True) -> "FileStore":
        """Open a folder, making it when missing, and remove what dead writers left.

        With `create=False` nothing is made or removed, so that a reader needs no right to
        write; raises `PermanentError` when there is no such folder,
        or one cannot be made.
        """
        store = cls(Path(folder).expanduser().absolute())
        if not create:
            if not store.folder.is_dir():
                raise PermanentError(f"there is no lake in {store.folder}: no such folder")
            return store
        try:
            store._make_own_folders()
        except OSError as error:
            raise PermanentError(
                f"the lake {store.folder} cannot be used: {error.strerror}"
            ) from error
        stale = time.time() - STALE_AFTER_S
        for left in (store.folder / _UNFINISHED).iterdir():
            if left.stat().st_mtime < stale:
                left.unlink(missing_ok=True)
        return store

    @property
    def root(self) -> str:
        return str(self.folder)

    def uri(self, path: str) -> str:
        return str(self.folder / validated_path(path))

    def get(self, path: str) -> tuple[bytes, Version] | None:
        try:
            with (self.folder / validated_path(path)).open("rb", buffering=0) as file:
                return file.readall(), _version(os.fstat(file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get_suffix(self, path: str, size: int) -> bytes | None:
        try:
            with (self.folder / validated_path(path)).open("rb", buffering=0) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.readall()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get_range(self, path: str, start: int, size: int, expected: Version) -> bytes:
        try:
            with (self.folder / validated_path(path)).open("rb", buffering=0) as file:
                if _version(os.fstat(file.fileno())) == expected:
                    return os.pread(file.fileno(), size, start)
        except (FileNotFoundError, NotADirectoryError):
            pass
        raise VersionConflictError(f"{path} was replaced while it was read")

    def put_if_match(self, path: str, data: bytes, expected: Version | None) -> Version:
        target = self.folder / validated_path(path)
        unfinished = self.folder / _UNFINISHED / f"{uuid4().hex}.tmp"
        try:
            # The slow part, writing to the platter, happens before the lock is taken.
            with self._new_file(unfinished) as file:
                _write(file.fileno(), data)
                os.fsync(file.fileno())
            _make_folder(target.parent)
            with self._locked(path):
                found = _stat(target)
                if (_version(found) if found else None) != expected:
                    raise VersionConflictError(f"{path} was replaced by another writer")
                # Strictly rising times make (time, size, inode) a version even when the
                # system gives a freed inode to the next file within one tick of its clock.
                now = max(time.time_ns(), found.st_mtime_ns + 1 if found else 0)
                os.utime(unfinished, ns=(now, now))
                version = _version(unfinished.stat())
                unfinished.replace(target)
                _sync_folder(target.parent)
                return version
        finally:
            unfinished.unlink(missing_ok=True)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        if (self.folder / validated_path(path)).exists():
            return False
        try:
            self.put_if_match(path, data, None)
        except VersionConflictError:
            return False
        return True

    def folders(self, prefix: str) -> list[str]:
        inside = validated_path(prefix) if prefix else ""
        return sorted(item.name for item in self._scan(inside) if item.is_dir())

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            with self._locked(path):
                (self.folder / validated_path(path)).unlink(missing_ok=True)

    def _make_own_folders(self) -> None:
        for name in (_LOCKS, _UNFINISHED):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def _new_file(self, path: Path) -> FileIO:
        try:
            return path.open("xb", buffering=0)
        except FileNotFoundError:
            # A lake that was opened by readers only, or copied without its dotted folders.
            self._make_own_folders()
            return path.open("xb", buffering=0)

    def _scan(self, inside: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder / inside) as items:
                return [item for item in items if not item.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextmanager
    def _locked(self, path: str) -> Generator[None]:
        stripe = zlib.crc32(path.encode()) % LOCKS_MAX
        lock = self.folder / _LOCKS / f"{stripe:02x}"
        # A new descriptor each time: flock belongs to it, so threads exclude each other too.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(lock, flags, 0o666)
        except FileNotFoundError:
            self._make_own_folders()
            descriptor = os.open(lock, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def list(self, prefix: str) -> list[ObjectMeta]:
        found: list[ObjectMeta] = []
        folders = [validated_path(prefix)] if prefix else [""]
        while folders:
            inside = folders.pop()
            for item in self._scan(inside):
                path = f"{inside}/{item.name}" if inside else item.name
                try:
                    if item.is_dir():
                        folders.append(path)
                    else:
                        found.append(_entry(path, item.stat()))
                except FileNotFoundError:
                    continue  # deleted while we looked: the listing after it
        return sorted(found, key=lambda entry: entry.path)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _version(stat: os.stat_result) -> Version:
    return Version(f"{stat.st_mtime_ns}-{stat.st_size}-{stat.st_ino}")


def _entry(path: str, stat: os.stat_result) -> ObjectMeta:
    modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    return ObjectMeta(path=path, size=stat.st_size, modified_at=modified_at, version=_version(stat))


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
