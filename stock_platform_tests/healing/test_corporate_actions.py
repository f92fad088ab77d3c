"""A split or dividend adjusts only when the bars as traded do not speak against it.

Values named by a vendor's ticket are published defects: symbol, date and what was told.
"""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.healing.corporate_actions import (
    JUMP_MAX,
    judge_dividends,
    judge_splits,
)

SPLIT = date(2024, 5, 1)
SPLITS = pl.Schema(
    {
        "action_id": pl.String(),
        "symbol": pl.String(),
        "executed_on": pl.Date(),
        "split_from": pl.Float64(),
        "split_to": pl.Float64(),
    }
)
DIVIDENDS = pl.Schema(
    {
        "action_id": pl.String(),
        "symbol": pl.String(),
        "ex_on": pl.Date(),
        "paid_on": pl.Date(),
        "amount": pl.Decimal(18, 6),
        "currency": pl.String(),
        "kind": pl.String(),
    }
)


def splits(*rows: tuple[str, date, float, float], symbol: str = "X") -> pl.DataFrame:
    told = [(i, symbol, on, a, b) for i, on, a, b in rows]
    return pl.DataFrame(told, schema=SPLITS, orient="row")


def days(
    moves: dict[date, float], *, first: date, last: date, symbol: str = "X", price: float = 100.0
) -> pl.DataFrame:
    """Daily bars as traded: every day at one price, multiplied by `moves` at the open of a day."""
    rows = []
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        price *= moves.get(day, 1.0)
        if day.weekday() < 5:
            rows.append((symbol, day, price, price))
    return pl.DataFrame(rows, schema=["symbol", "session", "open", "close"], orient="row")


def verdicts(told: pl.DataFrame, bars: pl.DataFrame) -> list[str]:
    return judge_splits(told, bars)["verdict"].to_list()


def around(on: date, move: float = 1.0, *, by_days: int = 40) -> pl.DataFrame:
    apart = timedelta(days=by_days)
    return days({on: move}, first=on - apart, last=on + apart)


def test_a_split_that_the_bars_show_is_confirmed() -> None:
    assert verdicts(splits(("a", SPLIT, 1, 4)), around(SPLIT, 0.25)) == ["confirmed"]


def test_a_split_without_bars_is_unjudged() -> None:
    assert verdicts(splits(("a", SPLIT, 1, 4)), around(date(2020, 1, 2))) == ["unjudged"]


def test_a_split_on_the_first_bar_of_a_symbol_is_unjudged() -> None:
    bars = days({}, first=SPLIT, last=SPLIT + timedelta(days=30))

    assert verdicts(splits(("a", SPLIT, 1, 4)), bars) == ["unjudged"]


def test_a_split_the_bars_know_nothing_of_is_contradicted() -> None:
    assert verdicts(splits(("a", SPLIT, 20, 1)), around(SPLIT)) == ["contradicted"]


@pytest.mark.parametrize("early", [1, 15])
def test_a_split_told_early_is_misdated_and_names_the_session(early: int) -> None:
    """MA was told 2014-01-07 and split on 2014-01-22 (massive-com/client-jvm#287)."""
    real = date(2014, 1, 22)
    told = splits(("a", real - timedelta(days=early), 1, 10))

    [row] = judge_splits(told, around(real, 0.1)).to_dicts()

    assert (row["verdict"], row["moved_to"]) == ("misdated", real)


def test_the_first_days_after_an_early_split_contradict_it() -> None:
    """MA's bars of 2014-01-06 and 07 open and close near 830."""
    told = splits(("a", date(2014, 1, 7), 1, 10))
    bars = days({}, first=date(2013, 12, 2), last=date(2014, 1, 7), price=831.0)

    assert verdicts(told, bars) == ["contradicted"]


def test_a_wrong_ratio_is_contradicted() -> None:
    """HRI was told 15 and split 5 on 2016-07-01 (finnhubio/Finnhub-API#468)."""
    on = date(2016, 7, 1)

    assert verdicts(splits(("a", on, 1, 15)), around(on, 1 / 5)) == ["contradicted"]


def test_of_two_inverted_splits_of_a_day_the_bars_choose_one() -> None:
    """SOPA 2024-05-01, 15 to 1 and 1 to 15 (polygon-io/issues#311, #324)."""
    told = splits(("a", SPLIT, 15, 1), ("b", SPLIT, 1, 15))

    assert verdicts(told, around(SPLIT, 15.0)) == ["confirmed", "duplicate"]


def test_the_same_split_listed_twice_counts_once() -> None:
    told = splits(("a", SPLIT, 1, 4), ("b", SPLIT, 1, 4))

    assert verdicts(told, around(SPLIT, 0.25)) == ["confirmed", "duplicate"]


def test_two_real_splits_of_one_day_are_multiplied() -> None:
    told = splits(("a", SPLIT, 1, 2), ("b", SPLIT, 1, 3))

    assert verdicts(told, around(SPLIT, 1 / 6)) == ["confirmed", "confirmed"]


def test_a_split_executed_on_a_weekend_is_judged_by_monday() -> None:
    saturday = date(2024, 5, 4)

    bars = around(date(2024, 5, 6), 0.5)

    assert verdicts(splits(("a", saturday, 1, 2)), bars) == ["confirmed"]


def test_a_small_stock_dividend_cannot_be_judged() -> None:
    assert verdicts(splits(("a", SPLIT, 20, 21)), around(SPLIT)) == ["unjudged"]


@given(
    st.floats(0.02, 50),
    st.floats(-0.6, 1.5),
    st.integers(-25, 25),
)
def test_no_adjusted_jump_above_the_bound_is_left_on_a_confirmed_split(
    ratio: float, noise: float, shift: int
) -> None:
    move = ratio * (1 + noise)
    bars = around(SPLIT + timedelta(days=shift), move)

    [row] = judge_splits(splits(("a", SPLIT, ratio, 1)), bars).to_dicts()

    on = bars.with_columns(before=pl.col("close").shift()).filter(pl.col("session") == SPLIT)
    left = on.select(pl.col("open") / pl.col("before") / ratio - 1).item()
    assert row["verdict"] != "confirmed" or abs(left) <= JUMP_MAX + 1e-9


def dividend(
    action_id: str, on: date, amount: float, *, kind: str = "regular", **changed: object
) -> dict[str, object]:
    row = {"action_id": action_id, "symbol": "X", "ex_on": on, "paid_on": on + timedelta(days=20)}
    return {**row, "amount": amount, "currency": "USD", "kind": kind, **changed}


def judged(*rows: dict[str, object], executed: pl.DataFrame | None = None) -> list[str]:
    told = pl.DataFrame(list(rows), schema_overrides={"amount": pl.Float64}).cast(dict(DIVIDENDS))
    found = judge_dividends(
        told,
        splits() if executed is None else executed,
        days({}, first=date(2019, 12, 2), last=date(2021, 12, 31)),
    )
    return found["verdict"].to_list()


def test_a_dividend_that_nothing_contradicts_adjusts_unjudged() -> None:
    assert judged(dividend("a", date(2020, 5, 8), 0.82)) == ["unjudged"]


def test_a_dividend_adjusted_for_a_later_split_is_contradicted() -> None:
    """AAPL 2020-08-07: told 0.205, declared 0.82; split 4 for 1 on 2020-08-31."""
    split = splits(("s", date(2020, 8, 31), 1, 4))

    found = judged(
        dividend("a", date(2020, 5, 8), 0.82),
        dividend("b", date(2020, 8, 7), 0.205),
        dividend("c", date(2020, 11, 6), 0.205),
        executed=split,
    )

    assert found == ["unjudged", "contradicted", "unjudged"]


def test_a_dividend_told_twice_counts_once() -> None:
    """RCI 2020-12-09 0.375 (polygon-io/issues#162)."""
    on = date(2020, 12, 9)

    assert judged(dividend("a", on, 0.375), dividend("b", on, 0.375)) == ["unjudged", "duplicate"]


def test_two_dividends_of_one_day_with_two_amounts_both_count() -> None:
    on = date(2020, 12, 9)
    special = dividend("b", on, 3.0, kind="special")

    assert judged(dividend("a", on, 0.5), special) == ["unjudged", "unjudged"]


def test_a_weekly_payer_is_not_taken_for_a_repetition() -> None:
    weekly = [dividend(str(n), date(2021, 1, 6) + timedelta(days=7 * n), 0.1) for n in range(5)]

    assert judged(*weekly) == ["unjudged"] * 5


@pytest.mark.parametrize(
    "changed",
    [
        {"currency": "CAD"},
        {"paid_on": date(2020, 6, 1)},
        {"amount": 100.0},
    ],
    ids=["SJR, declared in CAD", "paid before its ex-date", "as large as the price"],
)
def test_an_impossible_dividend_is_contradicted(changed: dict[str, object]) -> None:
    row = dividend("a", date(2020, 6, 12), 0.09875) | changed

    assert judged(row) == ["contradicted"]
