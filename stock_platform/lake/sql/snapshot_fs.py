"""A read-only file system over a store, every object pinned to the version first listed.

DuckDB reads S3 lakes through it (its own S3 extension has to be downloaded):
each ranged GET carries If-Match, so a query sees one version of an object or
fails and is run again, and nothing can be written.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import fsspec
from fsspec.spec import AbstractBufferedFile

from stock_platform.lake.object_store import ObjectMeta, ObjectStore, VersionConflictError

READ_AHEAD = 262_144
"""Bytes fetched beyond the range requested: footers and small columns come in one GET."""


PROTOCOL = "lake"


class SnapshotFileSystem(fsspec.AbstractFileSystem):
    """The objects of one listing, by their paths in the lake.

    Those of `keep` are fetched whole at once, so that they cannot change while they are read.
    """

    protocol = PROTOCOL
    root = "lake://objects"
    cachable = False

    def __init__(
        self, store: ObjectStore, held: dict[str, ObjectMeta], *, keep: Collection[str] = ()
    ) -> None:
        super().__init__()
        self._store = store
        self._whole = {path: got for path in keep if path in held and (got := store.get(path))}
        fetched = {
            path: replace(held[path], size=len(data), version=version)
            for path, (data, version) in self._whole.items()
        }
        gone = set(keep) - set(fetched)
        self.held = {path: entry for path, entry in held.items() if path not in gone} | fetched
        self.conflicts: set[str] = set()
        """The objects that were replaced before they were read."""

    def glob(self, path: str, maxdepth: int | None = None, **_: Any) -> list[str]:
        """Return the pinned objects a pattern of `*` names, sorted."""
        pattern = re.escape(self._inside(path)).replace(r"\*", "[^/]*")
        return [f"objects/{name}" for name in sorted(self.held) if re.fullmatch(pattern, name)]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return size and type; raise FileNotFoundError for what was not listed."""
        entry = self.held.get(self._inside(path))
        if entry is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": entry.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """Return the time of the pinned version."""
        return self.held[self._inside(path)].modified_at

    def _open(  # noqa: PLR0917 - as fsspec calls it
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,  # noqa: FBT001, FBT002 - as fsspec calls it
        cache_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> "_SnapshotFile":
        if mode != "rb":
            raise PermissionError("the lake is read-only here")
        options: dict[str, Any] = {"block_size": READ_AHEAD, "cache_type": "readahead"}
        return _SnapshotFile(self, path, mode, size=self.info(path)["size"], **options)

    def fetch(self, path: str, start: int, end: int) -> bytes:
        """Read a range of the pinned version."""
        name = self._inside(path)
        if name in self._whole:
            return self._whole[name][0][start:end]
        try:
            return self._store.get_range(name, start, end - start, self.held[name].version)
        except VersionConflictError:
            self.conflicts.add(name)
            raise

    @staticmethod
    def _inside(path: str) -> str:
        return path.removeprefix("lake://").removeprefix("objects/")


class _SnapshotFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        files: SnapshotFileSystem = self.fs
        return files.fetch(self.path, start, end)
