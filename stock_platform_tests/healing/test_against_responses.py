"""Streamed bars against what providers answered: only what an answer covers differs."""

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.responses import ProviderResponse
from stock_platform.healing.reconciliation import DIFFERENCES, against_responses
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, bars_of
from stock_platform_tests.healing.responses import response

SETTLE = timedelta(minutes=20)
WIDE = EXTENDED.grid(DAY)


def streamed(*cells: tuple[str, int], revision: str = "live") -> pl.DataFrame:
    return bars_of(cells).with_columns(revision=pl.lit(revision)).cast(bars.MINUTE_BARS)


def kinds(
    before: pl.DataFrame, *responses: ProviderResponse, expected: Iterable[str] = "AB"
) -> dict[tuple[str, int], str]:
    found = against_responses(before, responses, set(expected), settle=SETTLE)
    assert found.schema == DIFFERENCES
    slot = (pl.col("minute") - GRID.starts_at).dt.total_minutes()
    return {(s, n): kind for s, n, kind in found.select("symbol", slot, "kind").iter_rows()}


def test_a_file_speaks_of_every_symbol() -> None:
    told = response(None, bars=[("A", 0), ("A", 1)])

    assert kinds(streamed(("A", 0), ("B", 5)), told) == {("A", 1): "added", ("B", 5): "removed"}


def test_an_answer_about_one_symbol_says_nothing_of_another() -> None:
    assert kinds(streamed(("A", 0), ("B", 5)), response(["A"], bars=[("A", 0)])) == {}


def test_what_lies_outside_the_answer_is_not_removed() -> None:
    told = response(["A"], slots=(3, 4), bars=[("A", 3)])

    assert kinds(streamed(("A", 0), ("A", 4)), told) == {("A", 3): "added", ("A", 4): "removed"}


def test_bars_before_the_open_are_not_removed_by_a_record_of_regular_hours() -> None:
    early = bars_of([("A", 0)], WIDE).with_columns(revision=pl.lit("live")).cast(bars.MINUTE_BARS)

    assert kinds(early, response(None)) == {}


def test_an_answer_without_any_bar_removes_what_was_streamed() -> None:
    assert kinds(streamed(("A", 0)), response(["A"])) == {("A", 0): "removed"}


def test_a_young_answer_removes_nothing() -> None:
    young = response(["A"], asked_at=GRID.minute(12), bars=[("A", 1)])

    assert kinds(streamed(("A", 0), ("A", 1)), young) == {}


def test_failures_and_refusals_say_nothing() -> None:
    said = [response(["A"], outcome="failed"), response(["B"], outcome="refused")]

    assert kinds(streamed(("A", 0), ("B", 0)), *said) == {}


def test_a_broken_bar_of_the_record_removes_nothing() -> None:
    assert kinds(streamed(("A", 0)), response(["A"], broken=[("A", 0)])) == {}


def test_a_session_never_streamed_differs_in_nothing() -> None:
    healed = streamed(("A", 0), revision="rest")

    assert kinds(healed, response(None, bars=[("A", 0), ("A", 1)])) == {}


def test_symbols_nobody_expects_are_not_added() -> None:
    told = response(None, bars=[("A", 0), ("ZZ", 0)])

    assert kinds(streamed(("A", 0)), told) == {}


def test_the_same_bar_in_two_answers_counts_once() -> None:
    twice = [response(["A"], bars=[("A", 1)]), response(None, bars=[("A", 1)])]

    found = against_responses(streamed(("A", 0)), twice, {"A"}, settle=SETTLE)

    assert sorted(found["minute"]) == [GRID.minute(0), GRID.minute(1)]
