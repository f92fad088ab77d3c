"""Revisions: a total order, the same in Python and in the column."""

import polars as pl
import pytest

from stock_platform.domain.revision import DTYPE, Revision


def test_revisions_rise_from_live_to_correction() -> None:
    assert [revision.value for revision in Revision] == [
        "fill",
        "live",
        "rest",
        "final",
        "correction",
    ]
    assert [revision.rank for revision in Revision] == [-1, 0, 1, 2, 3]


def test_the_column_sorts_as_the_ranks_do() -> None:
    column = pl.Series(["final", "live", "correction", "fill", "rest"], dtype=DTYPE)

    assert column.sort().to_list() == [revision.value for revision in Revision]


@pytest.mark.parametrize("revision", Revision)
def test_only_what_was_asked_after_the_minute_proves_it_empty(revision: Revision) -> None:
    assert revision.proves_empty == (revision.rank > 0)
