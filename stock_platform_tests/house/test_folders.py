"""Folders read in one glance: a dozen files each, and no file that is only a fragment."""

from collections import Counter
from pathlib import Path

from stock_platform_tests.house.exceptions import FILE_NAMES_TWICE, SHORT_FILES
from stock_platform_tests.house.repository import code, files, text

FILES_MAX = 12
LINES_MIN = 50

OF_NO_PACKAGE = {"bench", "faults", "golden", "house", "real_input", "screenshots"}
"""Suites that look at the repository or at several packages at once."""


def test_no_folder_holds_more_than_a_dozen_files() -> None:
    inside = [path for path in files() if path.parts[0] == "stock_platform"]
    counted = Counter(path.parent.as_posix() for path in inside if path.name != "__init__.py")

    assert {folder: count for folder, count in counted.items() if count > FILES_MAX} == {}


def test_no_file_is_a_fragment() -> None:
    short = {path.as_posix(): len(text(path).splitlines()) for path in code()}
    found = {path: lines for path, lines in short.items() if lines < LINES_MIN}

    assert [
        path for path in found if not path.endswith("__init__.py") and path not in SHORT_FILES
    ] == []


def test_a_file_name_is_used_once() -> None:
    names = [path.name for path in code() if path.name != "__init__.py"]
    twice = {name for name, count in Counter(names).items() if count > 1}

    assert twice - set(FILE_NAMES_TWICE) == set()


def test_the_tests_stand_in_the_order_of_the_package() -> None:
    packages = {path.parts[1] for path in code() if len(path.parts) > 2}
    suites = {path.parts[1] for path in code("stock_platform_tests") if len(path.parts) > 2}

    assert suites - packages - OF_NO_PACKAGE == set()


def test_every_package_says_what_is_in_it() -> None:
    starts = [path for path in code() if path.name == "__init__.py"]

    assert [path for path in starts if not text(path).startswith('"""')] == []
    assert Path("stock_platform/__init__.py") in starts
