"""What every store promises, against a folder and against a real S3 server."""

import pytest

from stock_platform.errors import PermanentError
from stock_platform.lake.object_store import ObjectStore, Version, VersionConflictError, open_store
from stock_platform.settings import LakeSettings

PATH = "table/session=2026-11-19/data.parquet"


def version_of(store: ObjectStore, path: str = PATH) -> Version:
    found = store.get(path)
    assert found is not None
    return found[1]


def test_an_object_that_is_not_there_is_none(store: ObjectStore) -> None:
    assert store.get(PATH) is None
    assert store.get_suffix(PATH, 10) is None


def test_what_was_written_is_read_back(store: ObjectStore) -> None:
    version = store.put_if_match(PATH, b"one", None)

    assert store.get(PATH) == (b"one", version)


def test_a_replacement_names_the_version_it_was_made_from(store: ObjectStore) -> None:
    first = store.put_if_match(PATH, b"one", None)
    second = store.put_if_match(PATH, b"two", first)

    assert store.get(PATH) == (b"two", second)
    assert first != second


def test_an_outdated_replacement_is_a_conflict_and_changes_nothing(store: ObjectStore) -> None:
    first = store.put_if_match(PATH, b"one", None)
    store.put_if_match(PATH, b"two", first)

    with pytest.raises(VersionConflictError):
        store.put_if_match(PATH, b"three", first)

    assert store.get(PATH) == (b"two", version_of(store))


def test_a_second_first_write_is_a_conflict(store: ObjectStore) -> None:
    store.put_if_match(PATH, b"one", None)

    with pytest.raises(VersionConflictError):
        store.put_if_match(PATH, b"two", None)


def test_replacing_what_was_deleted_is_a_conflict(store: ObjectStore) -> None:
    version = store.put_if_match(PATH, b"one", None)
    store.delete([PATH])

    with pytest.raises(VersionConflictError):
        store.put_if_match(PATH, b"two", version)


def test_an_object_is_created_once(store: ObjectStore) -> None:
    assert store.put_if_absent(PATH, b"one")
    assert not store.put_if_absent(PATH, b"two")
    assert store.get(PATH) == (b"one", version_of(store))


def test_a_listing_is_sorted_and_stays_inside_its_folder(store: ObjectStore) -> None:
    for path in ("a/2.parquet", "a/1.parquet", "a/b/3.parquet", "ab/4.parquet"):
        store.put_if_absent(path, b"12345")

    listed = store.list("a")

    assert [entry.path for entry in listed] == ["a/1.parquet", "a/2.parquet", "a/b/3.parquet"]
    assert [entry.size for entry in listed] == [5, 5, 5]


def test_a_listing_carries_the_versions_that_get_gives(store: ObjectStore) -> None:
    store.put_if_absent(PATH, b"one")

    [entry] = store.list("table")

    assert entry.version == version_of(store)


def test_folders_are_named_without_their_path(store: ObjectStore) -> None:
    store.put_if_absent("t/session=2026-11-19/data.parquet", b"")
    store.put_if_absent("t/session=2026-11-20/data.parquet", b"")
    store.put_if_absent("t/file.parquet", b"")

    assert store.folders("t") == ["session=2026-11-19", "session=2026-11-20"]
    assert store.folders("nothing") == []


def test_deleting_what_is_gone_is_passed_over(store: ObjectStore) -> None:
    store.put_if_absent(PATH, b"one")

    store.delete([PATH, "table/never.parquet"])
    store.delete([PATH])

    assert store.list("") == []


def test_the_end_of_an_object_is_read_alone(store: ObjectStore) -> None:
    store.put_if_absent(PATH, b"0123456789")

    assert store.get_suffix(PATH, 4) == b"6789"
    assert store.get_suffix(PATH, 100) == b"0123456789"


def test_a_piece_is_read_from_the_version_asked_for(store: ObjectStore) -> None:
    version = store.put_if_match(PATH, b"0123456789", None)

    assert store.get_range(PATH, 2, 3, version) == b"234"


def test_a_piece_of_a_replaced_object_is_a_conflict(store: ObjectStore) -> None:
    version = store.put_if_match(PATH, b"0123456789", None)
    store.put_if_match(PATH, b"9876543210", version)

    with pytest.raises(VersionConflictError):
        store.get_range(PATH, 2, 3, version)


def test_a_piece_of_a_deleted_object_is_a_conflict(store: ObjectStore) -> None:
    version = store.put_if_match(PATH, b"0123456789", None)
    store.delete([PATH])

    with pytest.raises(VersionConflictError):
        store.get_range(PATH, 2, 3, version)


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a//b", "a/./b", ".locks/00", ""])
def test_a_path_outside_the_lake_is_refused(store: ObjectStore, path: str) -> None:
    with pytest.raises(PermanentError, match="not a path inside the lake"):
        store.put_if_match(path, b"", None)


def test_the_uri_names_the_object_for_people(store: ObjectStore) -> None:
    assert store.uri(PATH) == f"{store.root}/{PATH}"


def test_any_other_scheme_is_refused_by_name() -> None:
    with pytest.raises(PermanentError, match="STOCKS_LAKE"):
        open_store(LakeSettings(lake="gs://bucket/prefix"))


def test_a_bucket_that_is_not_there_says_so_without_its_answer(s3_settings: LakeSettings) -> None:
    missing = open_store(s3_settings.model_copy(update={"lake": "s3://no-such-bucket/x"}))

    with pytest.raises(Exception, match=r"S3 PUT .* failed: 404 Not Found$|replaced") as failure:
        missing.put_if_match(PATH, b"", None)

    assert "http" not in str(failure.value)
