"""Answers as they are recorded: enough to judge them again."""

from dataclasses import replace

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.responses import PROVIDER_RESPONSES, ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform_tests.domain.examples import DAY, at, bars_of, raw_bars

ANSWER = ProviderResponse(
    provider="massive",
    session=DAY,
    symbols=("A", "B"),
    first=at("14:30"),
    last=at("14:39"),
    asked_at=at("15:30"),
    revision=Revision.REST,
)


def record(response: ProviderResponse) -> pl.DataFrame:
    return pl.DataFrame(response.to_rows(), schema=PROVIDER_RESPONSES)


def test_an_answer_about_two_symbols_is_two_rows_with_their_own_bars() -> None:
    rows = record(replace(ANSWER, bars=bars_of([("B", 0), ("B", 1)])))

    assert rows.select("symbol", "bars", "outcome").rows() == [("A", 0, "ok"), ("B", 2, "ok")]
    assert rows.select("first", "last", "asked_at").unique().rows() == [
        (at("14:30"), at("14:39"), at("15:30"))
    ]


def test_an_answer_about_every_symbol_is_one_row() -> None:
    rows = record(replace(ANSWER, symbols=None, bars=bars_of([("A", 0), ("B", 1)])))

    assert rows.select("symbol", "bars").rows() == [("*", 2)]


def test_an_answer_about_no_symbol_is_not_one_about_all() -> None:
    assert record(replace(ANSWER, symbols=())).is_empty()


def test_a_broken_bar_is_recorded_beside_the_answer_it_came_with() -> None:
    raw = raw_bars(3).with_columns(high=pl.lit(1.0))
    rejected = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars").rejected

    rows = record(replace(ANSWER, symbols=("A",), rejected=rejected))

    broken = rows.filter(pl.col("outcome") == "rejected")
    assert broken["first"].to_list() == broken["last"].to_list() == raw["minute"].to_list()
    assert set(broken["detail"]) == {"high is not the highest"}
    assert rows.height == 4


def test_two_answers_share_no_frame() -> None:
    one, other = (
        replace(ANSWER),
        ProviderResponse(
            provider="p",
            session=DAY,
            symbols=None,
            first=at("14:30"),
            last=at("14:30"),
            asked_at=at("14:30"),
            revision=Revision.REST,
        ),
    )

    assert one.bars is not other.bars
    assert one.rejected_intervals() == []
