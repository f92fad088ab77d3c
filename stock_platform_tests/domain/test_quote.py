"""Merging quotes: the first observation of a key stays, in any order."""

from datetime import timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.quotes import RAW_QUOTES, merge_quotes
from stock_platform_tests.domain.examples import at

MAYBE_PRICE = st.none() | st.sampled_from([Decimal("10.5"), Decimal(11)])
ROWS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B"]),
        "minute": st.integers(0, 1).map(lambda n: at("14:30") + timedelta(minutes=n)),
        "price": st.sampled_from([Decimal("10.5"), Decimal(11)]),
        **dict.fromkeys(("open", "high", "low", "previous_close", "bid", "ask"), MAYBE_PRICE),
        "quoted_at": st.none() | st.just(at("14:29")),
        "provider": st.sampled_from(["finnhub", "rapidapi"]),
        "observed_at": st.integers(0, 2).map(lambda n: at("14:30") + timedelta(seconds=n)),
    }
)
FRAMES = st.lists(ROWS, max_size=12).map(lambda rows: pl.DataFrame(rows, schema=RAW_QUOTES))


@given(FRAMES, FRAMES)
def test_the_order_of_quotes_does_not_matter(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert merge_quotes(one, other).equals(merge_quotes(other, one))


@given(FRAMES, FRAMES, FRAMES)
def test_the_grouping_of_quotes_does_not_matter(
    one: pl.DataFrame, two: pl.DataFrame, three: pl.DataFrame
) -> None:
    left = merge_quotes(merge_quotes(one, two), three)

    assert left.equals(merge_quotes(one, merge_quotes(two, three)))


@given(FRAMES)
def test_merging_quotes_again_changes_nothing(frame: pl.DataFrame) -> None:
    once = merge_quotes(frame)

    assert merge_quotes(frame, once, once).equals(once)


@given(FRAMES)
def test_of_each_key_the_earliest_observation_stays(frame: pl.DataFrame) -> None:
    earliest: dict[tuple[object, ...], object] = {}
    for row in frame.sort("observed_at", descending=True).rows(named=True):
        earliest[row["symbol"], row["minute"], row["provider"]] = row["observed_at"]

    merged = merge_quotes(frame)

    kept = merged.select("symbol", "minute", "provider", "observed_at").rows()
    assert kept == [(*key, earliest[key]) for key in sorted(earliest)]
