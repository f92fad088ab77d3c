"""Stream against record: what was added, removed and changed."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars
from stock_platform.domain.bars import merge
from stock_platform.healing.reconciliation import differences, summarize
from stock_platform_tests.domain.examples import GRID, bars_of

CELLS = st.sets(st.tuples(st.sampled_from("AB"), st.integers(0, 6)))


def streamed(cells: set[tuple[str, int]], **values: object) -> pl.DataFrame:
    return revised(cells, "live", **values)


def revised(cells: set[tuple[str, int]], revision: str, **values: object) -> pl.DataFrame:
    named = {name: pl.lit(value) for name, value in values.items()}
    return (
        bars_of(sorted(cells))
        .with_columns(revision=pl.lit(revision), **named)
        .cast(bars.MINUTE_BARS)
    )


@given(CELLS, CELLS, CELLS)
def test_every_bar_that_differs_is_named_once(
    live: set[tuple[str, int]], final: set[tuple[str, int]], changed: set[tuple[str, int]]
) -> None:
    record = merge(
        bars.MINUTE_BARS,
        revised(final - changed, "final"),
        revised(final & changed, "final", close=Decimal("11.5")),
    )

    found = differences(streamed(live), record)

    kinds = {
        (symbol, (minute - GRID.starts_at).seconds // 60): kind
        for symbol, minute, kind in found.select("symbol", "minute", "kind").iter_rows()
    }
    assert kinds == {
        **dict.fromkeys(final - live, "added"),
        **dict.fromkeys(live - final, "removed"),
        **dict.fromkeys(live & final & changed, "changed"),
    }
    assert found.height == len(kinds)


def test_what_was_healed_before_was_not_streamed() -> None:
    known = revised({("A", 0)}, "rest", close=Decimal("11.5"))

    assert differences(known, revised({("A", 0)}, "final")).is_empty()


def test_a_symbols_differences_are_counted() -> None:
    before = streamed({("A", 0), ("A", 1), ("B", 0)})
    record = merge(
        bars.MINUTE_BARS,
        revised({("A", 1), ("B", 0)}, "final"),
        revised({("A", 2)}, "final"),
        revised({("A", 1)}, "correction", close=Decimal("12"), volume=Decimal("200.25")),
    )
    found = differences(before, record)

    rows = summarize(found, merge(bars.MINUTE_BARS, before, record)).rows(named=True)

    a, b = rows
    assert [a[name] for name in ("live", "added", "removed", "changed")] == [2, 1, 1, 1]
    assert a["close_change_max"] == pytest.approx(1 / 11, abs=1e-6)
    assert a["volume_change"] == Decimal("100.00")
    assert [b[name] for name in ("live", "added", "removed", "changed")] == [1, 0, 0, 0]
    assert (b["close_change_max"], b["volume_change"]) == (None, 0)
