"""The weekly report shows the table `indicators/weekly_performance`, also a corrected one."""

from datetime import UTC, datetime

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.indicators.weekly import Week
from stock_platform.lake import write
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.weekly_report import (
    compute_performance,
    performance_of,
    weekly_report,
)
from stock_platform.settings import ReportSettings
from stock_platform_tests.pipelines.conftest import SESSIONS

EVENING = datetime(2026, 11, 27, 23, tzinfo=UTC)


@pytest.fixture
def week(context: LakeContext) -> Week:
    """Return a week whose daily bars are in the lake: AAPL rises by 10 %, MSFT by 20 %."""
    rows = [
        {"symbol": symbol, "session": session, "open": 100, "low": 90, "high": 150, "close": close}
        for symbol, closes in (("AAPL", (100, 105, 110)), ("MSFT", (100, 110, 120)))
        for session, close in zip(SESSIONS, closes, strict=True)
    ]
    bars = pl.DataFrame(rows).with_columns(
        pl.lit(None).alias("vwap"),
        pl.lit(1000).alias("volume"),
        pl.lit(None).alias("transactions"),
        pl.lit("massive").alias("provider"),
        pl.lit("final").alias("revision"),
        pl.lit(EVENING).alias("observed_at"),
    )
    write.publish_daily_bars(context.store, bars.select(list(DAILY_BARS)).cast(DAILY_BARS))
    return Week.of(context.calendar, SESSIONS[0])


def store_performance(context: LakeContext, week: Week, rows: pl.DataFrame) -> None:
    year = week.monday.year
    write.publish_table(context.store, "weekly_performance", year, rows, key=("symbol", "week"))


def test_a_corrected_table_reaches_the_report(context: LakeContext, week: Week) -> None:
    computed = compute_performance(context, week)
    store_performance(context, week, computed.with_columns(return_pct=pl.lit(77.7)))
    lines = list[str]()

    report = weekly_report(context, week, ReportSettings(), EVENING, log=lines.append)

    assert computed["return_pct"].round(6).to_list() == [10.0, 20.0]
    assert report.performance["return_pct"].to_list() == [77.7, 77.7]
    assert "77.7" in report.rendered.text
    assert lines == []


def test_what_the_table_lacks_is_computed_and_logged(context: LakeContext, week: Week) -> None:
    corrected = compute_performance(context, week).with_columns(return_pct=pl.lit(77.7))
    store_performance(context, week, corrected.filter(pl.col("symbol") == "AAPL"))
    lines = list[str]()

    rows = performance_of(context, week, lines.append)

    assert rows["return_pct"].round(6).to_list() == [77.7, 20.0]
    assert lines == [
        "indicators/weekly_performance lacks 1 of 2 symbols in the week of 2026-11-23: "
        "computed for this report"
    ]


def test_symbols_that_are_no_longer_watched_are_not_reported(
    context: LakeContext, week: Week
) -> None:
    rows = compute_performance(context, week)
    gone = rows.filter(pl.col("symbol") == "AAPL").with_columns(symbol=pl.lit("GONE"))
    store_performance(context, week, pl.concat([rows, gone]))

    assert performance_of(context, week, print)["symbol"].to_list() == ["AAPL", "MSFT"]
