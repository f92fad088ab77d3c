"""Numbers that arrive as text: exact where they are numbers, refused where they are not."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars

MINUTE = datetime(2026, 2, 27, 15, 0, tzinfo=UTC)
GOOD = dict.fromkeys(bars.VALUE_COLUMNS, "1")


def sift(**values: object) -> bars.Validated:
    row = {"symbol": "A", "minute": MINUTE, **GOOD, "provider": "p", "revision": "rest"}
    frame = pl.DataFrame({**row, "observed_at": MINUTE} | values)
    return bars.validate_bars(frame, bars.MINUTE_BARS, dataset="minute_bars")


@pytest.mark.parametrize("text", ["abc", "", "NaN", "-1", "5.5", "1e99"])
def test_transactions_that_are_no_count_are_refused(text: str) -> None:
    sifted = sift(transactions=text)

    assert sifted.rejected["reason"].to_list() == ["transactions is not a possible count"]


def test_a_count_written_with_a_fraction_of_zero_is_a_count() -> None:
    sifted = sift(transactions="82132.0")

    assert sifted.bars["transactions"].to_list() == [82132]


def test_a_volume_of_seventeen_digits_keeps_every_one() -> None:
    sifted = sift(volume="12345678901.123457")

    assert sifted.bars["volume"].to_list() == [Decimal("12345678901.123457")]


@given(st.sampled_from(bars.VALUE_COLUMNS), st.text(max_size=12) | st.floats().map(str))
def test_any_text_is_a_bar_or_a_refusal(column: str, text: str) -> None:
    sifted = sift(**{column: text.encode("utf-8", "replace").decode()})

    assert sifted.bars.height + sifted.rejected.height == 1
