"""The weekly report says what happened in ordinary weeks and in odd ones."""

import re
from datetime import date
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.weekly import Week, weekly_performance
from stock_platform.serving.report.build import (
    Coverage,
    Rendered,
    WeeklyReport,
    build_report,
    percent,
    preview,
)
from stock_platform.serving.report.charts import candlesticks
from stock_platform_tests.serving.weekly_examples import (
    HOLIDAY_WEEK,
    NO_SPLITS,
    WEEK,
    daily_bars,
    example_report,
    split,
    steady,
)


def told(report: WeeklyReport) -> Rendered:
    return report.rendered


def test_the_subject_names_the_best_and_the_worst() -> None:
    assert (
        example_report().subject == "Weekly Market Report - Best: NVDA: 8.5% | Worst: QUBT: -3.2%"
    )


def test_a_symbol_without_data_is_named_and_not_ranked() -> None:
    rendered = told(example_report())

    assert "GONE       no data this week" in rendered.text
    assert "no data this week" in rendered.html


def test_a_holiday_week_says_why_it_is_short() -> None:
    rendered = told(example_report(HOLIDAY_WEEK))

    assert "4 sessions, the exchange was closed on the other weekdays" in rendered.text
    assert "Nov 23-27, 2026" in rendered.text


def test_an_empty_watchlist_is_a_report_all_the_same() -> None:
    nothing = steady("NVDA", 1.0, until=WEEK.last).clear()
    performance = weekly_performance(nothing, NO_SPLITS, WEEK, [])

    report = build_report(WEEK, performance, nothing, NO_SPLITS)

    assert report.subject == "Weekly Market Report - no symbols for the week of 2026-11-16"
    assert "The watchlist is empty" in told(report).html


def test_a_week_without_any_data_says_so() -> None:
    nothing = steady("NVDA", 1.0, until=WEEK.last).clear()
    performance = weekly_performance(nothing, NO_SPLITS, WEEK, ["NVDA"])

    report = build_report(WEEK, performance, nothing, NO_SPLITS)

    assert report.subject == "Weekly Market Report - no data for the week of 2026-11-16"


def test_a_split_in_the_week_is_neither_a_crash_nor_a_gap_in_the_chart() -> None:
    sessions = WEEK.sessions
    before = steady("NVDA", 1000.0, until=sessions[1], gain=0.0)
    after = daily_bars("NVDA", dict.fromkeys(sessions[2:], 100.0), gain=0.0)
    bars, splits = pl.concat([before, after]), split("NVDA", sessions[2], old=1, new=10)

    performance = weekly_performance(bars, splits, WEEK, ["NVDA"])
    report = build_report(WEEK, performance, bars, splits)

    assert percent(performance["return_pct"][0]) == "+0.0%"
    assert "100.00" in told(report).text
    assert report.charts["NVDA"] == candlesticks(
        steady("NVDA", 100.0, until=WEEK.last, gain=0.0).with_columns(
            pl.when(pl.col("session") < sessions[2])
            .then(pl.col("volume") * 10)
            .otherwise("volume")
            .alias("volume")
        ),
        "NVDA",
    )


def test_a_partly_traded_week_says_how_much_of_it_was_traded() -> None:
    bars = daily_bars("NEWS", dict.fromkeys(WEEK.sessions[3:], 20.0))
    performance = weekly_performance(bars, NO_SPLITS, WEEK, ["NEWS"])

    rendered = told(build_report(WEEK, performance, bars, NO_SPLITS))

    assert "(2 of 5 sessions)" in rendered.text
    assert "2 of 5 sessions" in rendered.html


def test_what_looks_like_markup_is_text() -> None:
    bars = steady("NVDA", 1.0, until=WEEK.last).with_columns(symbol=pl.lit("<b>&X"))
    performance = weekly_performance(bars, NO_SPLITS, WEEK, ["<b>&X"])

    html = told(build_report(WEEK, performance, bars, NO_SPLITS)).html

    assert "<b>&X" not in html
    assert "&lt;b&gt;&amp;X" in html


def test_more_symbols_than_fit_are_counted_and_the_movers_are_drawn() -> None:
    gains = {f"S{n:02d}": n / 1000 for n in range(12)}
    bars = pl.concat(
        [steady(symbol, 10.0, until=WEEK.last, gain=gain) for symbol, gain in gains.items()]
    )
    performance = weekly_performance(bars, NO_SPLITS, WEEK, list(gains))

    report = build_report(WEEK, performance, bars, NO_SPLITS, charts_max=2, rows_max=10)

    assert list(report.charts) == ["S10", "S11"]
    assert "and 2 more symbols" in told(report).text


@pytest.mark.parametrize(
    ("coverage", "sentence"),
    [
        (
            Coverage(expected=5850, observed=5800, empty=50),
            "100% of the 5,850 expected minutes are accounted for: 5,800 observed, "
            "50 proven empty.",
        ),
        (
            Coverage(expected=1_000_000, observed=999_999, missing=1),
            "99.99% of the 1,000,000 expected minutes are accounted for: 999,999 observed, "
            "1 missing.",
        ),
        (Coverage(expected=0, observed=0), "No minutes were expected of these symbols this week."),
    ],
)
def test_coverage_is_never_rounded_up_to_complete(coverage: Coverage, sentence: str) -> None:
    assert coverage.sentence == sentence


@pytest.mark.parametrize(
    ("value", "text"), [(8.46, "+8.5%"), (-0.04, "+0.0%"), (-3.25, "-3.2%"), (None, "-")]
)
def test_percentages_have_one_decimal_and_no_negative_zero(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_a_chart_is_small_sharp_and_transparent() -> None:
    [png, *_] = example_report().charts.values()

    image = Image.open(BytesIO(png))
    corner = image.convert("RGBA").getpixel((2, 2))
    assert len(png) < 16_000
    assert image.width == 1080
    assert isinstance(corner, tuple)
    assert corner[3] == 0


def test_a_chart_of_one_session_or_of_none_is_still_a_picture() -> None:
    one = steady("NVDA", 10.0, until=WEEK.last, gain=0.0).tail(1)

    pictures = [candlesticks(one, "NVDA"), candlesticks(one.clear(), "NVDA")]

    assert [Image.open(BytesIO(png)).format for png in pictures] == ["PNG", "PNG"]


def test_the_preview_needs_no_other_file(tmp_path: Path) -> None:
    path = preview(example_report(), tmp_path / "new" / "out.html")

    addresses = re.findall(r'src="([^"]{0,30})', path.read_text(encoding="utf-8"))
    assert len(addresses) == 3
    assert {address.partition(",")[0] for address in addresses} == {"data:image/png;base64"}


@pytest.mark.parametrize(
    ("day", "dates"),
    [
        (date(2026, 12, 30), "Dec 28-31, 2026"),
        (date(2026, 12, 2), "Nov 30 - Dec 4, 2026"),
        (date(2024, 12, 31), "Dec 30, 2024 - Jan 3, 2025"),
    ],
)
def test_the_dates_of_a_week_are_written_as_people_do(day: date, dates: str) -> None:
    week = Week.of(Calendar(), day)

    assert dates in told(example_report(week, charts_max=0)).text
