"""Streamed bars against what providers answered: only what an answer covers differs."""

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.responses import Answer
from stock_platform.healing.reconciliation import DIFFERENCES, against_answers
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, bars_of
from stock_platform_tests.healing.answers import answer

SETTLE = timedelta(minutes=20)
WIDE = EXTENDED.grid(DAY)


def streamed(*cells: tuple[str, int], revision: str = "live") -> pl.DataFrame:
    return bars_of(cells).with_columns(revision=pl.lit(revision)).cast(bars.MINUTE_BARS)


def kinds(
    before: pl.DataFrame, *answers: Answer, expected: Iterable[str] = "AB"
) -> dict[tuple[str, int], str]:
    found = against_answers(before, answers, set(expected), settle=SETTLE)
    assert found.schema == DIFFERENCES
    slot = (pl.col("minute") - GRID.starts_at).dt.total_minutes()
    return {(s, n): kind for s, n, kind in found.select("symbol", slot, "kind").iter_rows()}


def test_a_file_speaks_of_every_symbol() -> None:
    told = answer(None, bars=[("A", 0), ("A", 1)])

    assert kinds(streamed(("A", 0), ("B", 5)), told) == {("A", 1): "added", ("B", 5): "removed"}


def test_an_answer_about_one_symbol_says_nothing_of_another() -> None:
    assert kinds(streamed(("A", 0), ("B", 5)), answer(["A"], bars=[("A", 0)])) == {}


def test_what_lies_outside_the_answer_is_not_removed() -> None:
    told = answer(["A"], slots=(3, 4), bars=[("A", 3)])

    assert kinds(streamed(("A", 0), ("A", 4)), told) == {("A", 3): "added", ("A", 4): "removed"}


def test_bars_before_the_open_are_not_removed_by_a_record_of_regular_hours() -> None:
    early = bars_of([("A", 0)], WIDE).with_columns(revision=pl.lit("live")).cast(bars.MINUTE_BARS)

    assert kinds(early, answer(None)) == {}


def test_an_answer_without_any_bar_removes_what_was_streamed() -> None:
    assert kinds(streamed(("A", 0)), answer(["A"])) == {("A", 0): "removed"}


def test_a_young_answer_removes_nothing() -> None:
    young = answer(["A"], asked_at=GRID.minute(12), bars=[("A", 1)])

    assert kinds(streamed(("A", 0), ("A", 1)), young) == {}


def test_failures_and_refusals_say_nothing() -> None:
    said = [answer(["A"], outcome="failed"), answer(["B"], outcome="refused")]

    assert kinds(streamed(("A", 0), ("B", 0)), *said) == {}


def test_a_broken_bar_of_the_record_removes_nothing() -> None:
    assert kinds(streamed(("A", 0)), answer(["A"], broken=[("A", 0)])) == {}


def test_a_session_never_streamed_differs_in_nothing() -> None:
    healed = streamed(("A", 0), revision="rest")

    assert kinds(healed, answer(None, bars=[("A", 0), ("A", 1)])) == {}


def test_symbols_nobody_expects_are_not_added() -> None:
    told = answer(None, bars=[("A", 0), ("ZZ", 0)])

    assert kinds(streamed(("A", 0)), told) == {}


def test_the_same_bar_in_two_answers_counts_once() -> None:
    twice = [answer(["A"], bars=[("A", 1)]), answer(None, bars=[("A", 1)])]

    found = against_answers(streamed(("A", 0)), twice, {"A"}, settle=SETTLE)

    assert sorted(found["minute"]) == [GRID.minute(0), GRID.minute(1)]
