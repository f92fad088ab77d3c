"""Daily bars from minutes, and which are still to be asked for."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

from stock_platform.domain import bars as bar
from stock_platform.healing.aggregate import (
    DAILY_RESPONSES,
    FROM_MINUTES,
    Span,
    absent,
    from_minutes,
    spans,
)
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, HALF_DAY, REGULAR, at, bars_of

NOW = at("23:00")
BEFORE = date(2026, 11, 18)
EXPECTED = pl.DataFrame({"symbol": ["A", "A", "B"], "session": [BEFORE, DAY, DAY]})


def test_prices_come_from_regular_hours_and_volume_from_all_minutes() -> None:
    grid = EXTENDED.grid(DAY)
    close = pl.Series("close", [1, 20, 30, 99])
    bars = bars_of([("A", 0), ("A", 330), ("A", 719), ("A", 720)], grid).with_columns(
        close, open=close, high=close, low=close
    )

    [day] = from_minutes(bars.cast(bar.MINUTE_BARS), GRID).rows(named=True)

    assert (day["open"], day["high"], day["low"], day["close"]) == (20, 30, 20, 30)
    assert (day["volume"], day["transactions"]) == (4 * Decimal("100.25"), 28)
    assert (day["session"], day["provider"], day["revision"]) == (DAY, FROM_MINUTES, "live")


def test_a_half_day_ends_with_its_own_close() -> None:
    grid = REGULAR.grid(HALF_DAY)
    bars = bars_of([("A", 209), ("B", 210)], grid)

    assert from_minutes(bars, grid)["symbol"].to_list() == ["A"]


def test_a_vendors_row_wins_over_one_we_made() -> None:
    made = from_minutes(bars_of([("A", 0)]), GRID)
    theirs = made.with_columns(
        provider=pl.lit("massive"), revision=pl.lit("rest"), observed_at=pl.lit(at("01:00"))
    ).cast(bar.DAILY_BARS)

    assert bar.merge(bar.DAILY_BARS, made, theirs)["provider"].to_list() == ["massive"]


def responses(*rows: tuple[str, date, str, str, float]) -> pl.DataFrame:
    """Return answers as (symbol, session, provider, outcome, hours ago)."""
    return pl.DataFrame(
        [
            {
                "symbol": symbol,
                "session": session,
                "provider": provider,
                "outcome": outcome,
                "observed_at": NOW - timedelta(hours=hours),
            }
            for symbol, session, provider, outcome, hours in rows
        ],
        schema=DAILY_RESPONSES,
    )


def still_absent(bars: pl.DataFrame, said: pl.DataFrame) -> list[tuple[str, date]]:
    left = absent(EXPECTED, bars, said, ["massive", "finnhub"], now=NOW, retry_after_s=3600)
    return left.rows()


NO_BARS = pl.DataFrame(schema=bar.DAILY_BARS)


def test_without_bars_or_answers_everything_is_to_be_asked_for() -> None:
    assert still_absent(NO_BARS, responses()) == [("A", BEFORE), ("A", DAY), ("B", DAY)]


def test_a_row_we_made_from_minutes_does_not_answer_for_the_vendor() -> None:
    made = from_minutes(bars_of([("A", 0)]), GRID)
    theirs = made.with_columns(provider=pl.lit("massive"), revision=pl.lit("final"))

    assert ("A", DAY) in still_absent(made, responses())
    assert ("A", DAY) not in still_absent(theirs, responses())


@pytest.mark.parametrize(("hours", "asked"), [(0.9, False), (1.1, True)])
def test_a_bar_that_was_not_final_is_asked_for_again(hours: float, *, asked: bool) -> None:
    early = from_minutes(bars_of([("A", 0)]), GRID).with_columns(
        provider=pl.lit("massive"),
        revision=pl.lit("rest"),
        observed_at=pl.lit(NOW - timedelta(hours=hours)),
    )

    assert (("A", DAY) in still_absent(early, responses())) is asked


def test_absent_is_proven_once_every_provider_says_so() -> None:
    one = ("A", DAY, "massive", "absent", 999)
    other = ("A", DAY, "finnhub", "absent", 999)

    assert ("A", DAY) in still_absent(NO_BARS, responses(one))
    assert ("A", DAY) not in still_absent(NO_BARS, responses(one, other))


def test_a_failure_is_asked_again_after_its_time() -> None:
    absent_elsewhere = ("A", DAY, "massive", "absent", 999)
    young = ("A", DAY, "finnhub", "failed", 0.9)
    old = ("A", DAY, "finnhub", "failed", 1.1)

    assert ("A", DAY) not in still_absent(NO_BARS, responses(absent_elsewhere, young))
    assert ("A", DAY) in still_absent(NO_BARS, responses(absent_elsewhere, old))


def test_the_word_of_a_provider_no_longer_used_does_not_count() -> None:
    said = responses(("A", DAY, "massive", "absent", 9), ("A", DAY, "rapidapi", "absent", 9))

    assert ("A", DAY) in still_absent(NO_BARS, said)


def test_the_sessions_of_a_symbol_are_one_span() -> None:
    assert spans(EXPECTED) == [Span("A", BEFORE, DAY), Span("B", DAY, DAY)]
