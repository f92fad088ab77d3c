"""Deciding which sessions to ask for: newest first, nobody starved, nothing for ever."""

from datetime import date, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.healing.retry import RetrySchedule
from stock_platform.healing.scheduling import HealHistory, HealRange, select_sessions
from stock_platform_tests.domain.examples import DAY, REGULAR
from stock_platform_tests.healing.responses import BACKOFF, EVENING

SESSIONS = REGULAR.sessions(date(2026, 11, 2), DAY)
TICK = timedelta(seconds=30)


def need(session: date, minutes: int = 7, last: int = 389) -> HealRange:
    return HealRange(session=session, first=0, last=last, minutes=minutes, symbols=1)


def test_the_newest_sessions_come_first_and_a_tick_is_bounded() -> None:
    chosen = select_sessions(map(need, SESSIONS), {}, EVENING, backoff=BACKOFF, sessions_max=3)

    assert [wanted.session for wanted, _ in chosen] == SESSIONS[:-4:-1]


def test_what_is_remembered_makes_the_next_run_key_a_new_one() -> None:
    [(_, first)] = select_sessions([need(DAY)], {}, EVENING, backoff=BACKOFF, sessions_max=1)
    later = EVENING + timedelta(minutes=2)

    [(_, second)] = select_sessions(
        [need(DAY)], {DAY: first}, later, backoff=BACKOFF, sessions_max=1
    )

    assert first == HealHistory(count=1, runs_without_progress=0, missing=7, at=EVENING, last=389)
    assert second == HealHistory(count=2, runs_without_progress=1, missing=7, at=later, last=389)


@given(st.lists(st.sampled_from(SESSIONS), unique=True), st.permutations(range(3)))
def test_a_tick_that_was_lost_is_decided_the_same_way_again(
    sessions: list[date], order: list[int]
) -> None:
    asked = {
        day: HealHistory(
            count=5, runs_without_progress=0, missing=3, at=EVENING - timedelta(hours=1), last=389
        )
        for day in SESSIONS[::2]
    }
    needs = [need(session) for session in sessions]
    shuffled = sorted(needs, key=lambda need: order[need.session.day % 3])

    once = select_sessions(needs, asked, EVENING, backoff=BACKOFF, sessions_max=4)
    again = select_sessions(shuffled, asked, EVENING, backoff=BACKOFF, sessions_max=4)

    assert once == again


def test_a_session_in_work_is_left_alone_and_takes_no_place() -> None:
    chosen = select_sessions(
        map(need, SESSIONS),
        {},
        EVENING,
        backoff=BACKOFF,
        running=frozenset({SESSIONS[-1]}),
        sessions_max=1,
    )

    assert [wanted.session for wanted, _ in chosen] == [SESSIONS[-2]]


def test_a_run_that_changed_nothing_is_repeated_ever_later_and_then_given_up() -> None:
    asked, now, waits = {}, EVENING, []

    for _ in range(60 * 60):
        chosen = select_sessions([need(DAY)], asked, now, backoff=BACKOFF, sessions_max=1)
        asked |= {wanted.session: entry for wanted, entry in chosen}
        waits += [(now - EVENING) / timedelta(minutes=1)] * len(chosen)
        now += TICK

    assert waits == [0, 2, 12, 72]


def test_a_gap_that_shrank_is_asked_for_at_once() -> None:
    asked = {DAY: HealHistory(count=3, runs_without_progress=2, missing=7, at=EVENING, last=389)}

    [(_, entry)] = select_sessions(
        [need(DAY, minutes=6)], asked, EVENING, backoff=BACKOFF, sessions_max=1
    )

    assert entry.runs_without_progress == 0


def test_a_given_up_session_is_asked_for_again_when_something_new_goes_missing() -> None:
    asked = {
        DAY: HealHistory(
            count=4, runs_without_progress=3, missing=7, at=EVENING - timedelta(hours=9), last=389
        )
    }

    same = select_sessions([need(DAY)], asked, EVENING, backoff=BACKOFF, sessions_max=1)
    more = select_sessions([need(DAY, minutes=8)], asked, EVENING, backoff=BACKOFF, sessions_max=1)

    assert (len(same), len(more)) == (0, 1)


def test_as_many_but_other_minutes_are_no_fruitless_run() -> None:
    asked = {DAY: HealHistory(count=3, runs_without_progress=0, missing=7, at=EVENING, last=100)}

    [(_, entry)] = select_sessions(
        [need(DAY, last=101)], asked, EVENING, backoff=BACKOFF, sessions_max=1
    )

    assert entry.runs_without_progress == 0


def test_a_session_whose_runs_break_is_spaced_however_its_need_grows() -> None:
    asked, now, waits = {}, EVENING, []

    for tick in range(24 * 60 * 2):
        chosen = select_sessions(
            [need(DAY, minutes=7 + tick, last=tick)],
            asked,
            now,
            backoff=BACKOFF,
            failed=frozenset({DAY}) if asked else frozenset(),
            sessions_max=1,
        )
        asked |= {wanted.session: entry for wanted, entry in chosen}
        waits += [(now - EVENING) / timedelta(minutes=1)] * len(chosen)
        now += TICK

    assert waits[:5] == [0, 2, 12, 72, 132]
    assert len(waits) < 30


@given(
    hopeless=st.sets(st.sampled_from(SESSIONS)),
    sessions_max=st.integers(1, 4),
    minutes=st.lists(st.integers(1, 600), max_size=5).map(lambda waits: tuple(sorted(waits))),
)
def test_sessions_that_can_not_be_filled_never_starve_the_others(
    hopeless: set[date], sessions_max: int, minutes: tuple[int, ...]
) -> None:
    backoff = RetrySchedule.from_minutes(minutes)
    missing, asked, runs, now = set(SESSIONS), {}, 0, EVENING

    for _ in range(2 * len(SESSIONS) * (len(minutes) + 2)):
        chosen = select_sessions(
            map(need, missing), asked, now, backoff=backoff, sessions_max=sessions_max
        )
        asked |= {wanted.session: entry for wanted, entry in chosen}
        missing -= {wanted.session for wanted, _ in chosen} - hopeless
        runs += len(chosen)
        now += TICK

    assert missing == hopeless
    assert runs <= len(SESSIONS) + len(hopeless) * len(minutes)


def test_a_history_written_under_its_older_names_is_read() -> None:
    cursor = b'{"2026-11-19":{"count":4,"fruitless":2,"missing":7,"last":389}}'

    read = msgspec.json.decode(cursor, type=dict[date, HealHistory])

    assert read[DAY] == HealHistory(count=4, runs_without_progress=2, missing=7, last=389)
    assert msgspec.json.decode(msgspec.json.encode(read[DAY]))["fruitless"] == 2
