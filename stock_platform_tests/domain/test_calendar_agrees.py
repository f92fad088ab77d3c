"""A second calendar library, written by other people, knows the same minutes."""

from datetime import date

import pandas_market_calendars
import pytest

from stock_platform.domain.sessions import Calendar
from stock_platform_tests.domain.examples import EXTENDED, REGULAR

# Before 2007 the two libraries differ on a few days of delayed openings and early stops
# (2001-09-17 opened at 09:33, 2005-06-01 stopped at 15:56): those minutes end as `empty`.
FIRST, LAST = date(2007, 1, 1), date(2027, 12, 31)


@pytest.mark.parametrize(
    ("calendar", "opens", "closes"),
    [
        pytest.param(REGULAR, "market_open", "market_close", id="regular"),
        pytest.param(EXTENDED, "pre", "post", id="extended"),
    ],
)
def test_another_calendar_has_the_same_hours(calendar: Calendar, opens: str, closes: str) -> None:
    other = pandas_market_calendars.get_calendar("NYSE").schedule(
        FIRST, LAST, start="pre", end="post"
    )
    theirs = {
        day.date(): (row[opens].to_pydatetime(), row[closes].to_pydatetime())
        for day, row in other.iterrows()
    }

    grids = [calendar.grid(day) for day in calendar.sessions(FIRST, LAST)]

    assert {grid.session: (grid.opens_at, grid.closes_at) for grid in grids} == theirs


def test_another_calendar_has_the_same_sessions_since_1990() -> None:
    other = pandas_market_calendars.get_calendar("NYSE").schedule(date(1990, 1, 2), LAST)

    assert [day.date() for day in other.index] == REGULAR.sessions(date(1990, 1, 2), LAST)
