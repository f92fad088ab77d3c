"""Judging: what an answer proves, and above all what it does not."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import BITMAPS, SessionCoverage
from stock_platform.domain.revision import Revision
from stock_platform.healing.apply_response import apply_response
from stock_platform_tests.domain.examples import EXTENDED, GRID, HALF_DAY, REGULAR, at
from stock_platform_tests.healing.responses import EVENING, RULES, response


def blank(*symbols: str) -> SessionCoverage:
    return SessionCoverage.blank(GRID, symbols or ("A",))


def state(coverage: SessionCoverage, **expected: int) -> dict[str, int]:
    return {name: coverage.totals()[name] for name in expected}


def test_a_settled_answer_proves_the_minutes_without_a_bar_empty() -> None:
    coverage = blank()

    apply_response(coverage, response(bars=[("A", 0), ("A", 7)]), RULES)

    counts = {"observed": 2, "healed": 2, "empty": 388, "missing": 0}
    assert state(coverage, **counts) == counts


def test_an_answer_speaks_of_its_own_symbols_and_minutes_only() -> None:
    coverage = blank("A", "B")

    apply_response(coverage, response(["B", "stranger"], slots=(10, 19)), RULES)

    assert np.argwhere(coverage.bits["empty"]).tolist() == [[1, slot] for slot in range(10, 20)]


def test_an_answer_about_everybody_speaks_of_every_symbol() -> None:
    coverage = blank("A", "B")

    apply_response(coverage, response(None, bars=[("B", 3)], revision=Revision.FINAL), RULES)

    assert coverage.totals()["missing"] == 0
    assert coverage.authority.tolist() == ["final", "final"]


@pytest.mark.parametrize(
    ("asked_at", "proven"),
    [
        pytest.param(at("14:50:59"), 0, id="nothing has settled"),
        pytest.param(at("14:51"), 1, id="the first minute has"),
        pytest.param(at("15:00"), 10, id="ten minutes have"),
        pytest.param(at("14:00"), 0, id="before the opening"),
        pytest.param(at("21:19:59"), 389, id="all but the last"),
        pytest.param(at("21:20"), 390, id="all"),
    ],
)
def test_only_settled_minutes_are_proven_empty(asked_at: datetime, proven: int) -> None:
    coverage = blank()

    apply_response(coverage, response(asked_at=asked_at), RULES)

    assert np.flatnonzero(coverage.bits["empty"][0]).tolist() == list(range(proven))


def test_a_live_answer_proves_nothing_empty() -> None:
    coverage = blank()

    apply_response(coverage, response(revision=Revision.LIVE), RULES)

    assert coverage.totals()["missing"] == 390
    assert np.isnat(coverage.verified_at).all()


@pytest.mark.parametrize("outcome", ["refused", "failed"])
@pytest.mark.parametrize("symbols", [["A"], None])
def test_a_refusal_or_failure_is_never_empty(outcome: str, symbols: list[str] | None) -> None:
    coverage = blank()

    apply_response(coverage, response(symbols, outcome=outcome, detail="HTTP 403"), RULES)

    assert state(coverage, empty=0, missing=390) == {"empty": 0, "missing": 390}
    assert coverage.last_error.tolist() == ["HTTP 403"]
    assert coverage.totals()["refused"] == (390 if outcome == "refused" else 0)


def test_a_refusal_speaks_of_its_own_minutes() -> None:
    coverage = blank()

    apply_response(coverage, response(slots=(5, 6), outcome="refused"), RULES)

    assert np.flatnonzero(coverage.bits["refused"][0]).tolist() == [5, 6]


@pytest.mark.parametrize("outcome", ["ok", "refused"])
@pytest.mark.parametrize("slots", [(-330, -10), (-3, -1), (390, 500), (-330, -330)])
def test_an_answer_outside_the_grid_says_nothing(outcome: str, slots: tuple[int, int]) -> None:
    coverage = blank()
    before = coverage.to_frame()

    apply_response(coverage, response(slots=slots, outcome=outcome), RULES)

    assert coverage.to_frame().equals(before)


def test_a_minute_that_began_before_the_answer_is_not_covered_by_it() -> None:
    coverage = blank()
    whole, half = response(slots=(3, 5)), timedelta(seconds=30)

    apply_response(
        coverage, replace(whole, first=whole.first + half, last=whole.last + half), RULES
    )

    assert np.flatnonzero(coverage.bits["empty"][0]).tolist() == [4, 5]


def test_failures_back_off_and_end() -> None:
    coverage, waits = blank(), []

    for _ in range(4):
        apply_response(coverage, response(outcome="failed"), RULES)
        waits.append(coverage.next_retry_at[0])

    minutes = [
        (wait - np.datetime64("2026-11-19T22:00")) / np.timedelta64(60, "s") for wait in waits
    ]
    assert minutes[:3] == [2, 10, 60]
    assert np.isnat(waits[3])
    assert coverage.attempts.tolist() == [4]


def test_symbols_of_one_failure_wait_as_long_as_each_has_failed() -> None:
    coverage = blank("A", "B")
    apply_response(coverage, response(["B"], outcome="failed"), RULES)

    apply_response(coverage, response(["A", "B"], outcome="failed"), RULES)

    assert coverage.attempts.tolist() == [1, 2]
    assert (coverage.next_retry_at[1] - coverage.next_retry_at[0]) == np.timedelta64(8, "m")


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_a_file_that_can_not_be_had_holds_no_symbol_back(outcome: str) -> None:
    coverage = blank("A", "B")

    apply_response(coverage, response(None, outcome=outcome, detail="truncated gzip"), RULES)

    assert coverage.attempts.tolist() == [0, 0]
    assert np.isnat(coverage.next_retry_at).all()


def test_a_good_answer_clears_what_went_wrong_before() -> None:
    coverage = blank()
    apply_response(coverage, response(outcome="refused", detail="HTTP 403"), RULES)

    apply_response(coverage, response(), RULES)

    assert (coverage.attempts[0], coverage.last_error[0]) == (0, "")
    assert np.isnat(coverage.next_retry_at[0])
    assert not coverage.bits["refused"].any()


def test_a_refusal_of_other_minutes_stays_refused() -> None:
    coverage = blank()
    apply_response(coverage, response(slots=(0, 9), outcome="refused"), RULES)

    apply_response(coverage, response(slots=(5, 20)), RULES)

    assert np.flatnonzero(coverage.bits["refused"][0]).tolist() == [0, 1, 2, 3, 4]


def test_a_broken_bar_is_neither_observed_nor_empty() -> None:
    coverage = blank("A", "B")

    apply_response(coverage, response(None, bars=[("A", 0)], broken=[("A", 1), ("A", 2)]), RULES)

    assert np.argwhere(coverage.missing()).tolist() == [[0, 1], [0, 2]]
    assert coverage.attempts.tolist() == [1, 0]
    assert coverage.last_error.tolist() == ["high is not the highest", ""]


def test_a_broken_bar_backs_off_until_it_is_exhausted() -> None:
    coverage = blank()

    for _ in range(4):
        apply_response(coverage, response(broken=[("A", 1)]), RULES)

    assert coverage.attempts.tolist() == [4]
    assert coverage.totals()["missing"] == 1


def test_a_broken_bar_of_a_stranger_or_another_day_is_passed_over() -> None:
    coverage = blank()

    apply_response(coverage, response(broken=[("stranger", 1), ("A", 390), ("A", -1)]), RULES)

    assert coverage.totals()["empty"] == 390
    assert coverage.attempts.tolist() == [0]


def test_a_broken_bar_of_a_symbol_nobody_asked_about_is_passed_over() -> None:
    coverage = blank("A", "B")

    apply_response(coverage, response(["A"], broken=[("B", 1)]), RULES)

    assert coverage.attempts.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("slots", "asked_at", "revision", "verified"),
    [
        pytest.param((0, 389), at("21:20"), Revision.REST, True, id="the whole settled session"),
        pytest.param((0, 389), at("21:19:59"), Revision.REST, False, id="not settled"),
        pytest.param((1, 389), EVENING, Revision.FINAL, False, id="without the first minute"),
        pytest.param((0, 388), EVENING, Revision.FINAL, False, id="without the last minute"),
        pytest.param((0, 389), EVENING, Revision.LIVE, False, id="not a source of record"),
    ],
)
def test_only_a_source_of_record_for_the_whole_settled_session_verifies_it(
    slots: tuple[int, int],
    asked_at: datetime,
    revision: Revision,
    verified: bool,  # noqa: FBT001 - parametrised
) -> None:
    coverage = blank()

    apply_response(coverage, response(slots=slots, asked_at=asked_at, revision=revision), RULES)

    assert np.isnat(coverage.verified_at[0]) == (not verified)


def test_a_verification_is_never_taken_back_by_an_older_one() -> None:
    coverage = blank()
    apply_response(coverage, response(asked_at=at("23:00")), RULES)

    apply_response(coverage, response(asked_at=at("22:00")), RULES)

    assert coverage.verified_at.tolist() == [at("23:00").replace(tzinfo=None)]


def test_a_half_day_is_verified_after_its_own_close() -> None:
    grid = REGULAR.grid(HALF_DAY)
    coverage = SessionCoverage.blank(grid, ["A"])

    apply_response(coverage, response(asked_at=at("18:20", HALF_DAY), grid=grid), RULES)

    assert coverage.totals()["empty"] == 210
    assert coverage.verified_at.tolist() == [at("18:20", HALF_DAY).replace(tzinfo=None)]


def test_extended_hours_are_judged_from_four_in_the_morning() -> None:
    grid = EXTENDED.grid(GRID.session)
    coverage = SessionCoverage.blank(grid, ["A"])

    apply_response(coverage, response(asked_at=at("09:25"), grid=grid), RULES)

    assert np.flatnonzero(coverage.bits["empty"][0]).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("revisions", "authority"),
    [
        ([Revision.REST, Revision.FINAL, Revision.REST], "final"),
        ([Revision.LIVE], "live"),
        ([Revision.CORRECTION, Revision.FINAL], "correction"),
    ],
)
def test_authority_is_the_best_that_ever_answered(
    revisions: list[Revision], authority: str
) -> None:
    coverage = blank()

    for revision in revisions:
        apply_response(coverage, response(revision=revision), RULES)

    assert coverage.authority.tolist() == [authority]


CELLS = st.lists(st.tuples(st.sampled_from(["A", "B", "stranger"]), st.integers(0, 30)), max_size=6)


@given(
    symbols=st.none() | st.sets(st.sampled_from(["A", "B", "stranger"])),
    slots=st.tuples(st.integers(-5, 30), st.integers(-5, 30)),
    minutes=st.integers(0, 60),
    bars=CELLS,
    revision=st.sampled_from(Revision),
)
def test_an_ok_answer_judged_twice_changes_nothing_more(
    symbols: set[str] | None,
    slots: tuple[int, int],
    minutes: int,
    bars: list[tuple[str, int]],
    revision: Revision,
) -> None:
    coverage = blank("A", "B")
    asked_at = at("14:30") + timedelta(minutes=minutes)
    said = response(symbols, slots=slots, asked_at=asked_at, bars=bars, revision=revision)
    apply_response(coverage, said, RULES)
    once = coverage.to_frame()

    apply_response(coverage, said, RULES)

    assert coverage.to_frame().equals(once)
    assert not (coverage.bits["healed"] & ~coverage.bits["observed"]).any()
    assert set(coverage.bits) == set(BITMAPS)


def test_a_broken_bar_of_an_unreadable_minute_leaves_none_of_its_symbol_proven_empty() -> None:
    coverage = blank("A", "B")
    unreadable = response(["A", "B"], bars=[("A", 0)], broken=[("A", 1)])
    rejected = unreadable.rejected.with_columns(at=None)

    apply_response(
        coverage, replace(unreadable, rejected=rejected.cast(unreadable.rejected.schema)), RULES
    )

    assert coverage.counts()["missing"].tolist() == [389, 0]
