"""The one compare-and-swap loop, over a folder and over a real S3 server."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from stock_platform.errors import TransientError
from stock_platform.lake.object_store import ObjectStore, interface, update
from stock_platform.lake.object_store.interface import CONFLICTS_MAX

PATH = "counters/data.txt"


def add_one(found: bytes | None) -> tuple[bytes, int]:
    count = int(found or 0) + 1
    return b"%d" % count, count


def stored(store: ObjectStore) -> bytes:
    found = store.get(PATH)
    assert found is not None
    return found[0]


def test_a_change_is_written_and_its_result_returned(store: ObjectStore) -> None:
    assert [update(store, PATH, add_one), update(store, PATH, add_one)] == [1, 2]

    assert stored(store) == b"2"


def test_none_leaves_the_object_as_it_is(store: ObjectStore) -> None:
    update(store, PATH, add_one)
    before = store.get(PATH)

    assert update(store, PATH, lambda found: (None, found)) == b"1"

    assert store.get(PATH) == before


def test_a_write_between_reading_and_writing_is_not_lost(store: ObjectStore) -> None:
    others = iter([b"another", None])

    def change(found: bytes | None) -> tuple[bytes, None]:
        if other := next(others):
            store.put_if_match(PATH, other, None)
        return (found or b"") + b" and mine", None

    update(store, PATH, change)

    assert stored(store) == b"another and mine"


def test_many_writers_lose_no_change(disk: ObjectStore) -> None:
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda _: update(disk, PATH, add_one), range(40)))

    assert stored(disk) == b"40"


def test_conflicts_in_a_row_are_bounded(disk: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "JITTER_S", 0.0)
    calls = list[bytes | None]()

    def overtaken(found: bytes | None) -> tuple[bytes, None]:
        calls.append(found)
        update(disk, PATH, add_one)
        return b"never", None

    with pytest.raises(TransientError, match="50 times in a row"):
        update(disk, PATH, overtaken)

    assert len(calls) == CONFLICTS_MAX
    assert stored(disk) == b"50"
