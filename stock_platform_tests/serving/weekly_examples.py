"""Daily bars of a few symbols around one week, made up so that the answers are plain."""

from datetime import date, timedelta

import polars as pl

from stock_platform.domain.reference import SPLITS
from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.weekly import Week, weekly_performance
from stock_platform.serving.report.build import Coverage, WeeklyReport, build_report

WEEK = Week.of(Calendar(), date(2026, 11, 21))
"""Monday 16 to Friday 20 November 2026, five sessions."""

HOLIDAY_WEEK = Week.of(Calendar(), date(2026, 11, 26))
"""Thanksgiving: four sessions, the last one a half-day."""

NO_SPLITS = SPLITS.to_frame()


def split(symbol: str, on: date, *, old: float, new: float) -> pl.DataFrame:
    row = {"symbol": symbol, "executed_on": on, "split_from": old, "split_to": new}
    return pl.DataFrame([row], schema=SPLITS)


def daily_bars(symbol: str, opens: dict[date, float], *, gain: float = 0.01) -> pl.DataFrame:
    """Return bars that close `gain` above their open, with half a percent to spare each way."""
    rows = [
        {
            "symbol": symbol,
            "session": session,
            "open": price,
            "high": price * (1 + max(gain, 0) + 0.005),
            "low": price * (1 + min(gain, 0) - 0.005),
            "close": price * (1 + gain),
            "volume": 1_000_000.0,
        }
        for session, price in opens.items()
    ]
    return pl.DataFrame(rows)


def steady(symbol: str, price: float, *, until: date, gain: float = 0.01) -> pl.DataFrame:
    """Give forty sessions of the same bar up to `until`."""
    sessions = Calendar().sessions(until - timedelta(days=58), until)
    return daily_bars(symbol, dict.fromkeys(sessions, price), gain=gain)


def example_report(week: Week = WEEK, charts_max: int = 20) -> WeeklyReport:
    """Report NVDA as best and QUBT as worst, with one symbol that has no data."""
    bars = pl.concat(
        [
            steady("NVDA", 180.0, until=week.last, gain=0.085),
            steady("MSFT", 500.0, until=week.last),
            steady("QUBT", 12.0, until=week.last, gain=-0.032),
        ]
    )
    performance = weekly_performance(bars, NO_SPLITS, week, ["NVDA", "MSFT", "QUBT", "GONE"])
    return build_report(
        week,
        performance,
        bars,
        NO_SPLITS,
        coverage=Coverage(expected=5850, observed=5800, empty=48, missing=2),
        charts_max=charts_max,
    )
