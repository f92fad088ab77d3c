"""What the house tests let through is still there to be let through."""

from collections import Counter
from collections.abc import Iterable

from stock_platform_tests.house import exceptions
from stock_platform_tests.house.modules import classes
from stock_platform_tests.house.references import unused
from stock_platform_tests.house.repository import code, text
from stock_platform_tests.house.test_classes import is_positional
from stock_platform_tests.house.test_folders import LINES_MIN
from stock_platform_tests.house.test_imports import settings_readers


def test_every_short_file_let_through_is_short() -> None:
    short = {path.as_posix() for path in code() if len(text(path).splitlines()) < LINES_MIN}

    assert set(exceptions.SHORT_FILES) - short == set()


def test_every_file_name_let_through_is_used_twice() -> None:
    assert set(exceptions.FILE_NAMES_TWICE) - _twice(path.name for path in code()) == set()


def test_every_class_name_let_through_is_defined_twice() -> None:
    assert set(exceptions.CLASS_NAMES_TWICE) - _twice(one.node.name for one in classes()) == set()


def test_every_class_let_through_is_built_by_position() -> None:
    positional = {one.node.name for one in classes() if is_positional(one)}

    assert set(exceptions.POSITIONAL_CLASSES) - positional == set()


def test_every_reader_of_settings_let_through_reads_them() -> None:
    readers = settings_readers()
    stale = [
        place
        for place in exceptions.READ_SETTINGS
        if not any(reader.startswith(place) for reader in readers)
    ]

    assert stale == []


def test_every_name_let_through_is_unused() -> None:
    assert set(exceptions.UNUSED) - {found.name for found in unused()} == set()


def _twice(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}
