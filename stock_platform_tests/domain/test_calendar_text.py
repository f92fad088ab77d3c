"""The kept calendar says what the library says, for every day it covers."""

from datetime import time

import pytest

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.domain.xnys import FIRST, LAST
from stock_platform.errors import InvalidDataError
from stock_platform_tests.golden.make_xnys import TARGET, library_days, to_module


def test_the_kept_sessions_and_hours_are_the_librarys() -> None:
    calendar = Calendar()
    library = library_days()

    kept = calendar.sessions(FIRST, LAST)
    grids = [calendar.grid(day) for day in kept]
    hours = [
        f"{grid.opens_at.astimezone(NEW_YORK):%H%M}-{grid.closes_at.astimezone(NEW_YORK):%H%M}"
        for grid in grids
    ]

    assert kept == list(library)
    assert hours == list(library.values())


def test_the_kept_text_is_what_the_installed_library_gives() -> None:
    assert TARGET.read_text() == to_module(library_days())


def test_a_day_beyond_the_kept_calendar_says_what_to_do() -> None:
    with pytest.raises(InvalidDataError, match="make calendar"):
        Calendar().sessions(LAST, LAST.replace(year=LAST.year + 1))


def test_an_ordinary_session_needs_no_line_of_its_own() -> None:
    grid = Calendar().grid(Calendar().sessions(FIRST, LAST)[1])

    assert grid.closes_at.astimezone(NEW_YORK).time() == time(16)
