"""What only a folder has to prove: versions, leftovers of dead writers, names out of sight."""

import os
import time
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import STALE_AFTER_S, FileStore

PATH = "table/data.parquet"


def test_the_same_bytes_again_are_another_version(disk: ObjectStore) -> None:
    first = disk.put_if_match(PATH, b"same", None)
    second = disk.put_if_match(PATH, b"same", first)

    assert first != second


def test_versions_rise_however_coarse_the_clock(disk: ObjectStore) -> None:
    version = disk.put_if_match(PATH, b"", None)
    seen = {version}
    for _ in range(200):
        version = disk.put_if_match(PATH, b"", version)
        seen.add(version)

    assert len(seen) == 201


def test_a_version_rises_even_when_the_clock_was_set_back(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path)
    store.put_if_match(PATH, b"", None)
    tomorrow = time.time_ns() + 86_400 * 1_000_000_000
    os.utime(tmp_path / PATH, ns=(tomorrow, tomorrow))
    found = store.get(PATH)
    assert found is not None

    store.put_if_match(PATH, b"", found[1])

    assert (tmp_path / PATH).stat().st_mtime_ns == tomorrow + 1


def test_unfinished_files_and_locks_are_outside_every_listing(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path)
    store.put_if_match(PATH, b"", None)
    (tmp_path / ".unfinished" / "dead.tmp").write_bytes(b"half")

    assert [entry.path for entry in store.list("")] == [PATH]
    assert store.folders("") == ["table"]


def test_what_a_dead_writer_left_is_cleared_away_an_hour_later(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path)
    old, young = (tmp_path / ".unfinished" / name for name in ("old.tmp", "young.tmp"))
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    long_ago = time.time() - STALE_AFTER_S - 60
    os.utime(old, (long_ago, long_ago))

    FileStore.open(store.folder)

    assert (old.exists(), young.exists()) == (False, True)


def test_a_reader_keeps_the_object_it_opened(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path)
    version = store.put_if_match(PATH, b"old" * 1000, None)
    with (tmp_path / PATH).open("rb") as reader:
        store.put_if_match(PATH, b"new" * 1000, version)

        assert reader.read() == b"old" * 1000


def test_a_reader_makes_no_lake(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"there is no lake in .*/nowhere: no such folder"):
        FileStore.open(tmp_path / "nowhere", create=False)

    assert list(tmp_path.iterdir()) == []


def test_a_reader_leaves_no_trace_and_may_write_later(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []

    store.delete(["a.txt"])
    store.put_if_match("a.txt", b"one", None)

    assert store.get("a.txt") is not None
