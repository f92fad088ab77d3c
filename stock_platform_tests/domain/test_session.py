"""Sessions and their minutes, against what the exchange published and real bars show."""

import csv
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.examples import DAY, EXTENDED, HALF_DAY, REGULAR, at
from stock_platform_tests.shared_data import SHARED

# Source: the holiday and early-closing tables the New York Stock Exchange publishes
# (nyse.com, "Holidays and Trading Hours"), with the day of mourning of 2025-01-09.
CLOSED = {
    2025: "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
    2026: "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
    2027: "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24",
}
HALF_DAYS = [
    date(2020, 11, 27),
    date(2024, 7, 3),
    date(2025, 7, 3),
    date(2025, 11, 28),
    date(2025, 12, 24),
    date(2026, 11, 27),
    date(2026, 12, 24),
    date(2027, 11, 26),
]
CALENDARS = st.sampled_from([REGULAR, EXTENDED])
SESSIONS = st.sampled_from(REGULAR.sessions(date(1990, 1, 1), date(2027, 12, 31)))


@pytest.mark.parametrize("year", CLOSED)
def test_the_closed_days_of_a_year_are_the_published_ones(year: int) -> None:
    closed = REGULAR.closed_days(date(year, 1, 1), date(year, 12, 31))

    assert [f"{day:%m-%d}" for day in closed] == CLOSED[year].split()


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(date(2001, 9, 11), date(2001, 9, 16), id="September 11"),
        pytest.param(date(2012, 10, 27), date(2012, 10, 30), id="hurricane Sandy"),
        pytest.param(date(2018, 12, 5), date(2018, 12, 5), id="day of mourning for Bush"),
        pytest.param(date(2025, 1, 9), date(2025, 1, 9), id="day of mourning for Carter"),
        pytest.param(date(2026, 11, 21), date(2026, 11, 22), id="weekend"),
    ],
)
def test_the_exchange_was_closed(first: date, last: date) -> None:
    assert REGULAR.sessions(first, last) == []


@pytest.mark.parametrize("day", HALF_DAYS)
def test_a_half_day_ends_at_one_and_after_hours_at_five(day: date) -> None:
    regular, extended = REGULAR.grid(day), EXTENDED.grid(day)

    assert regular.closes_at.astimezone(NEW_YORK).isoformat()[11:16] == "13:00"
    assert extended.closes_at.astimezone(NEW_YORK).isoformat()[11:16] == "17:00"
    assert (regular.expected, extended.expected) == (210, 780)


def test_a_normal_day_has_390_minutes_or_960() -> None:
    grids = REGULAR.grid(DAY), EXTENDED.grid(DAY)

    assert [(grid.first, grid.end, grid.width) for grid in grids] == [(0, 390, 390), (0, 960, 960)]


@pytest.mark.parametrize(
    ("day", "opens_at"),
    [
        pytest.param(date(2026, 3, 6), "14:30", id="Friday before summer time"),
        pytest.param(date(2026, 3, 9), "13:30", id="Monday of summer time"),
        pytest.param(date(2026, 10, 30), "13:30", id="Friday before winter time"),
        pytest.param(date(2026, 11, 2), "14:30", id="Monday of winter time"),
    ],
)
def test_the_opening_follows_the_clock_of_new_york(day: date, opens_at: str) -> None:
    regular, extended = REGULAR.grid(day), EXTENDED.grid(day)

    assert regular.opens_at == at(opens_at, day)
    assert extended.opens_at == at(opens_at, day) - timedelta(hours=5, minutes=30)
    assert regular.closes_at - regular.opens_at == timedelta(hours=6, minutes=30)


def test_a_real_half_day_fits_its_grid_to_the_minute() -> None:
    file = SHARED / "minute" / "MSFT_2020-11-23_2020-12-04.csv"
    with file.open() as lines:
        minutes = [at_ms(row["ts_utc_ms"]) for row in csv.DictReader(lines)]
    grids = {day: EXTENDED.grid(day) for day in {EXTENDED.session_of(minute) for minute in minutes}}

    slots = [(grids[day].slot(m), grids[day]) for m in minutes for day in [EXTENDED.session_of(m)]]

    assert sorted(grids) == EXTENDED.sessions(date(2020, 11, 23), date(2020, 12, 4))
    assert all(grid.first <= slot < grid.end for slot, grid in slots)
    assert max(slot for slot, grid in slots if grid.session == date(2020, 11, 27)) == 779


def at_ms(text: str) -> datetime:
    return at("00:00", date(1970, 1, 1)) + timedelta(milliseconds=int(text))


@given(CALENDARS, SESSIONS, st.integers(0, 959))
def test_a_slot_and_its_minute_name_each_other(calendar: Calendar, day: date, slot: int) -> None:
    grid = calendar.grid(day)
    slot %= grid.width

    assert grid.slot(grid.minute(slot)) == slot
    assert calendar.session_of(grid.minute(slot)) == day


@given(CALENDARS, SESSIONS)
def test_a_label_is_the_wall_clock_of_its_slot(calendar: Calendar, day: date) -> None:
    grid = calendar.grid(day)
    labels = calendar.minute_labels()
    clocks = [f"{grid.minute(slot).astimezone(NEW_YORK):%H:%M}" for slot in range(grid.width)]

    assert labels == clocks
    assert [calendar.slot_of_label(label) for label in labels] == list(range(grid.width))


@pytest.mark.parametrize("clock", ["14:29", "21:00", "00:00"])
def test_an_instant_off_the_grid_is_malformed(clock: str) -> None:
    with pytest.raises(InvalidDataError, match="is not a minute of 2026-11-19"):
        REGULAR.grid(DAY).slot(at(clock))


@pytest.mark.parametrize(
    ("clock", "grace_s", "due"),
    [
        ("14:30:59", 0, 0),
        ("14:31", 0, 1),
        ("14:32:59", 120, 0),
        ("14:33", 120, 1),
        ("21:00", 0, 390),
        ("21:01:59", 120, 389),
        ("23:00", 120, 390),
        ("09:00", 0, 0),
    ],
)
def test_a_minute_is_due_when_it_was_over_for_the_grace_time(
    clock: str, grace_s: float, due: int
) -> None:
    assert REGULAR.grid(DAY).closed_slots(at(clock), grace_s) == due


def test_no_minute_after_the_close_of_a_half_day_is_ever_due() -> None:
    assert REGULAR.grid(HALF_DAY).closed_slots(at("23:59", HALF_DAY), 0) == 210


@given(SESSIONS.filter(lambda day: day.year > 1991), st.integers(1, 300))
def test_previous_counts_sessions_backwards(day: date, count: int) -> None:
    before = REGULAR.sessions(date(1990, 1, 1), day - timedelta(days=1))

    assert REGULAR.previous(day, count) == before[-count]


@pytest.mark.parametrize("count", [-1, 0, 2])
def test_previous_refuses_what_no_calendar_knows(count: int) -> None:
    with pytest.raises(InvalidDataError):
        REGULAR.previous(date(1990, 1, 3), count)


def test_previous_of_a_day_that_is_no_session_is_the_one_before_it() -> None:
    assert REGULAR.previous(date(2026, 11, 22)) == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("calendar", "now", "closed"),
    [
        pytest.param(REGULAR, at("20:59:59"), date(2026, 11, 18), id="before the close"),
        pytest.param(REGULAR, at("21:00"), DAY, id="at the close"),
        pytest.param(EXTENDED, at("21:00"), date(2026, 11, 18), id="after-hours still run"),
        pytest.param(EXTENDED, at("01:00", date(2026, 11, 20)), DAY, id="after-hours over"),
        pytest.param(REGULAR, at("15:00", date(2026, 11, 22)), date(2026, 11, 20), id="Sunday"),
        pytest.param(REGULAR, at("17:59", HALF_DAY), date(2026, 11, 25), id="half-day runs"),
        pytest.param(REGULAR, at("18:00", HALF_DAY), HALF_DAY, id="half-day over"),
        pytest.param(REGULAR, at("04:00", date(2026, 11, 20)), DAY, id="already tomorrow in UTC"),
    ],
)
def test_the_latest_closed_session(calendar: Calendar, now: datetime, closed: date) -> None:
    assert calendar.latest_closed(now) == closed


def test_an_evening_in_new_york_belongs_to_its_own_date() -> None:
    assert EXTENDED.session_of(at("00:59", date(2026, 11, 20))) == DAY


@pytest.mark.parametrize("day", [date(2026, 11, 26), date(2026, 11, 21), date(1989, 12, 29)])
def test_a_day_without_trading_has_no_grid(day: date) -> None:
    with pytest.raises(InvalidDataError, match="is not a session"):
        REGULAR.grid(day)


def test_sessions_are_known_well_beyond_next_year() -> None:
    assert REGULAR.is_session(date(2031, 3, 3))
