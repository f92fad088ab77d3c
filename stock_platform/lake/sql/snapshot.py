"""The objects that one query reads, fixed before it starts.

Only the tables named in the query are listed. On a folder the objects are read where they
are, and those replaced lately, which may be replaced again, through a hard link: a link
keeps the bytes that were there. Elsewhere, and where no link can be made, every read names
the version it wants. A query is run again when an object `changed` nevertheless; the next
snapshot keeps that object itself, so this ends.
"""

import os
import shutil
import time
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from stock_platform.lake import tables
from stock_platform.lake.object_store import ObjectMeta, ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.snapshot_fs import SnapshotFileSystem
from stock_platform.lake.sql.views import definitions

LATELY_S = 900.0
"""An object younger than this is kept by a link before the query starts."""
STALE_AFTER_S = 86_400.0
"""Links this old were left by a query whose process was killed."""

_LINKS = ".snapshots"
_ALL_TABLES = (
    "information_schema",
    "duckdb_",
    "pg_catalog",
    "sqlite_",
    "pragma",
    "show",
    "describe",
    "summarize",
    "query",
)
"""Words of queries that can name a table without its name standing in their text."""

Listing = dict[str, ObjectMeta]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The objects of the tables of one query, and where DuckDB finds each."""

    root: str
    """The folder or address below which everything is that may be read."""
    held: Listing
    """The objects by their paths in the lake."""
    linked: Mapping[str, str] = field(default_factory=dict)
    """The paths that are read elsewhere than at their own place below `root`."""
    files: SnapshotFileSystem | None = None
    """What reads them; None: DuckDB itself."""

    @property
    def locations(self) -> dict[str, str]:
        """The address of each object by its path in the lake."""
        return {path: self.linked.get(path, f"{self.root}/{path}") for path in self.held}

    def changed(self, store: ObjectStore) -> set[str]:
        """Return the objects that a query may have read in another version than this."""
        if self.files is not None:
            return self.files.conflicts
        now = _listed(store, _folders(self.held))
        return {
            path
            for path, entry in self.held.items()
            if path not in self.linked and (path not in now or now[path].version != entry.version)
        }


@contextmanager
def snapshot(
    store: ObjectStore, sql: str | None = None, *, keep: Collection[str] = ()
) -> Generator[Snapshot]:
    """Yield the objects of the tables named in `sql` (None: of all tables).

    The objects `keep` were replaced during an earlier attempt: where there are no links they
    are fetched whole, so that they cannot change any more.
    """
    names = tables_in(sql, store)
    if isinstance(store, FileStore):
        with _linked(store, names) as found:
            if found is not None:
                yield found
                return
    files = SnapshotFileSystem(store, _listed(store, names), keep=keep)
    yield Snapshot(root=files.root, held=files.held, files=files)


def tables_in(sql: str | None, store: ObjectStore) -> list[str]:
    """Return the folders of the tables that `sql` may read, live parts before their base."""
    every = sorted({*store.folders(""), *tables.TABLES})
    text = (sql or "").lower()
    if sql is None or any(word in text for word in _ALL_TABLES):
        return _parts_first(every)
    named: dict[str, str] = {}
    unread = [text]
    while unread:
        text = unread.pop()
        found = {name: is_read for name, is_read in definitions().items() if name in text}
        unread += [is_read for name, is_read in found.items() if name not in named]
        named |= found | {name: "" for name in every if name.lower() in text}
    return _parts_first([name for name in every if name in named])


def _parts_first(names: list[str]) -> list[str]:
    # A session's first compaction makes its base and deletes the parts: listed in the other
    # order, neither would be found.
    return sorted(names, key=lambda name: (not name.endswith("_live"), name))


def _listed(store: ObjectStore, folders: Iterable[str]) -> Listing:
    return {entry.path: entry for folder in folders for entry in store.list(folder)}


def _folders(held: Listing) -> list[str]:
    return sorted({path.split("/", 1)[0] for path in held})


@contextmanager
def _linked(store: FileStore, names: list[str]) -> Generator[Snapshot | None]:
    """Yield a snapshot with links to what may change; None where links cannot be made."""
    folder = store.folder / _LINKS / f"{os.getpid()}-{uuid4().hex}"
    try:
        yield _link_lately(store, folder, names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link_lately(store: FileStore, folder: Path, names: list[str]) -> Snapshot | None:
    held = _listed(store, names)
    lately = time.time() - LATELY_S
    wanted = [path for path, entry in held.items() if entry.modified_at.timestamp() > lately]
    try:
        if wanted:
            _remove_stale(folder.parent)
        linked = {path: str(folder / path) for path in wanted if _link(store.folder, folder, path)}
    except OSError:
        # A read-only or foreign folder, or a file system without links.
        return None
    return Snapshot(root=store.root, held=held, linked=linked)


def _link(lake: Path, into: Path, path: str) -> bool:
    target = into / path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(lake / path, target)
    except FileNotFoundError:
        return False
    return True


def _remove_stale(folder: Path) -> None:
    stale = time.time() - STALE_AFTER_S
    with suppress(FileNotFoundError):
        for left in folder.iterdir():
            if left.stat().st_mtime < stale:
                shutil.rmtree(left, ignore_errors=True)
