"""Sifting: what is refused and why, and that what passes is exact."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars as bar
from stock_platform_tests.domain.examples import DAY, at, raw_bars

PRICES = ("open", "high", "low", "close")
BAD_NUMBERS = {
    math.nan: "is not a number",
    math.inf: "is not a number",
    -math.inf: "is not a number",
    None: "is not a number",
}
ANY_NUMBER = st.floats() | st.none() | st.sampled_from([0.0, -0.0, 1e-7, 1e8, 1e11, 1e300, 10.0])


def sift(**values: object) -> bar.Validated:
    row = raw_bars(1).with_columns(pl.Series(name, [value]) for name, value in values.items())
    return bar.validate_bars(row, bar.MINUTE_BARS, dataset="minute_bars")


def reasons(**values: object) -> list[str]:
    return sift(**values).rejected["reason"].to_list()


def test_a_flawless_row_is_a_bar() -> None:
    sifted = sift()

    assert sifted.rejected.is_empty()
    assert sifted.bars.schema == bar.MINUTE_BARS
    assert sifted.bars.row(0, named=True) == {
        "symbol": "A",
        "minute": at("14:30"),
        "open": Decimal(10),
        "high": Decimal(12),
        "low": Decimal(9),
        "close": Decimal(11),
        "vwap": Decimal("10.5"),
        "volume": Decimal("100.25"),
        "transactions": 7,
        "provider": "massive",
        "revision": "rest",
        "observed_at": at("15:00"),
    }


@pytest.mark.parametrize("column", [*PRICES, "volume"])
@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_what_is_no_number_is_named(column: str, value: float | None) -> None:
    raw = raw_bars(1).with_columns(pl.Series(column, [value], pl.Float64))

    sifted = bar.validate_bars(raw, bar.MINUTE_BARS, dataset="minute_bars")

    assert sifted.rejected["reason"].to_list() == [f"{column} is not a number"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"symbol": "../A"}, "the symbol is not acceptable"),
        ({"symbol": "A\n"}, "the symbol is not acceptable"),
        ({"symbol": None}, "the symbol is not acceptable"),
        ({"minute": None}, "the minute is missing"),
        ({"minute": at("14:30:30")}, "not aligned to the minute"),
        ({"minute": at("14:30") + timedelta(microseconds=1)}, "not aligned to the minute"),
        ({"open": 0.0}, "open is not positive"),
        ({"low": -0.01}, "low is not positive"),
        ({"close": 4e-7}, "close is not positive"),
        ({"high": 100_000_000.01}, "high is absurdly large"),
        ({"volume": -1.0}, "volume is negative"),
        ({"volume": 1e12}, "volume is absurdly large"),
        ({"vwap": -1.0}, "vwap is not a possible price"),
        ({"vwap": math.nan}, "vwap is not a possible price"),
        ({"transactions": -1}, "transactions is not a possible count"),
        ({"high": 10.9}, "high is not the highest"),
        ({"high": 8.0}, "high is not the highest"),
        ({"low": 10.1}, "low is not the lowest"),
    ],
)
def test_every_defect_has_its_reason(values: dict[str, object], reason: str) -> None:
    assert reasons(**values) == [reason]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"volume": 0.0, "vwap": 0.0, "transactions": 0}, id="an index has no volume"),
        pytest.param({"vwap": None, "transactions": None}, id="optional columns empty"),
        pytest.param({"volume": 0.000001}, id="a fraction of a share"),
        pytest.param(dict.fromkeys(PRICES, 742000.0), id="BRK.A"),
        pytest.param(dict.fromkeys(PRICES, 0.0001), id="a penny stock"),
        pytest.param(dict.fromkeys(PRICES, 1e-06), id="the smallest price"),
        pytest.param({"vwap": 13.0}, id="vwap above the high: odd lots count for it"),
    ],
)
def test_what_is_rare_but_possible_is_kept(values: dict[str, object]) -> None:
    assert reasons(**values) == []


def test_optional_columns_may_be_absent() -> None:
    raw = raw_bars(2).drop("vwap", "transactions")

    bars = bar.validate_bars(raw, bar.MINUTE_BARS, dataset="minute_bars").bars

    assert bars["vwap"].to_list() == bars["transactions"].to_list() == [None, None]


@pytest.mark.parametrize("zone", ["America/New_York", "UTC"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_minute_is_the_same_instant_in_any_zone_and_unit(zone: str, unit: str) -> None:
    raw = raw_bars(1).with_columns(
        pl.col("minute").dt.convert_time_zone(zone).dt.cast_time_unit(unit)  # type: ignore[arg-type]
    )

    assert bar.validate_bars(raw, bar.MINUTE_BARS, dataset="d").bars["minute"].to_list() == [
        at("14:30")
    ]


def test_a_daily_row_needs_its_session() -> None:
    raw = raw_bars(2).drop("minute").with_columns(pl.Series("session", [DAY, None], pl.Date))

    sifted = bar.validate_bars(raw, bar.DAILY_BARS, dataset="daily_bars")

    assert sifted.bars["session"].to_list() == [DAY]
    assert sifted.rejected["reason"].to_list() == ["the session is missing"]


def test_a_refused_row_says_where_it_came_from_and_what_it_was() -> None:
    [row] = sift(high=8.0).rejected.rows(named=True)

    assert "'high': 8.0" in row["record"]
    assert row == {
        "dataset": "minute_bars",
        "provider": "massive",
        "symbol": "A",
        "at": at("14:30"),
        "reason": "high is not the highest",
        "record": row["record"],
        "observed_at": at("15:00"),
    }


def test_a_refused_daily_row_is_of_its_session() -> None:
    raw = raw_bars(1).drop("minute").with_columns(session=pl.lit(DAY), high=pl.lit(1.0))

    rejected = bar.validate_bars(raw, bar.DAILY_BARS, dataset="daily_bars").rejected

    assert rejected["at"].to_list() == [datetime(2026, 11, 19, tzinfo=UTC)]


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(bar.VALUE_COLUMNS[:6], ANY_NUMBER)), min_size=1)
)
def test_every_row_is_in_exactly_one_of_the_two(values: list[dict[str, float | None]]) -> None:
    raw = raw_bars(len(values)).with_columns(
        pl.Series(name, [row[name] for row in values], pl.Float64) for name in values[0]
    )

    sifted = bar.validate_bars(raw, bar.MINUTE_BARS, dataset="minute_bars")

    kept, refused = sifted.bars["minute"].to_list(), sifted.rejected["at"].to_list()
    assert sorted(kept + refused) == raw["minute"].to_list()
    assert sifted.bars.select(bar.VALUE_COLUMNS[:4]).null_count().sum_horizontal().item() == 0


CENTS = st.integers(1, 10**12)


@given(st.lists(CENTS, min_size=1), st.booleans())
def test_prices_are_exact_to_the_sixth_decimal(millionths: list[int], as_text: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    exact = [Decimal(n).scaleb(-6) for n in millionths]
    sent = [str(price) if as_text else float(price) for price in exact]
    raw = raw_bars(len(sent)).with_columns(pl.Series(name, sent) for name in PRICES)

    bars = bar.validate_bars(raw, bar.MINUTE_BARS, dataset="minute_bars").bars

    assert bars["close"].to_list() == exact


@given(st.integers(0, 10**17))
def test_a_volume_sent_as_text_keeps_every_digit(millionths: int) -> None:
    exact = Decimal(millionths).scaleb(-6)

    bars = sift(volume=f"{exact:f}").bars

    assert bars["volume"].to_list() == [exact]


def test_no_rows_give_no_rows() -> None:
    sifted = bar.validate_bars(
        raw_bars(0).cast(bar.MINUTE_BARS), bar.MINUTE_BARS, dataset="minute_bars"
    )

    assert (sifted.bars.height, sifted.rejected.height) == (0, 0)


def test_a_vwap_of_zero_is_none() -> None:
    assert sift(vwap=0.0).bars["vwap"].to_list() == [None]
    assert sift(vwap="0").bars["vwap"].to_list() == [None]


@pytest.mark.parametrize("schema", [bar.MINUTE_BARS, bar.DAILY_BARS], ids=["minute", "daily"])
def test_rows_of_one_key_that_differ_are_both_refused(schema: pl.Schema) -> None:
    days = [DAY - timedelta(days=number) for number in range(3)]
    raw = raw_bars(3).with_columns(pl.Series("session", days))
    other = raw.slice(1, 1).with_columns(close=pl.lit(10.5))

    checked = bar.validate_bars(pl.concat([raw, other]), schema, dataset="bars")

    assert checked.rejected["reason"].to_list() == [bar.CONTRADICTION] * 2
    assert checked.rejected["symbol"].unique().to_list() == [raw["symbol"][1]]
    assert all("'close'" in record for record in checked.rejected["record"])
    assert checked.rejected["record"].n_unique() == 2
    assert checked.bars.height == 2


def test_an_answer_that_comes_twice_is_kept_once() -> None:
    """Published: 634 rows of 317 minutes, the whole list twice."""
    raw = raw_bars(5)

    checked = bar.validate_bars(pl.concat([raw, raw]), bar.MINUTE_BARS, dataset="bars")

    assert checked.rejected.is_empty()
    assert checked.bars.equals(bar.validate_bars(raw, bar.MINUTE_BARS, dataset="bars").bars)


@given(st.permutations(range(6)))
def test_the_order_of_an_answer_does_not_matter(order: list[int]) -> None:
    raw = raw_bars(4)
    rows = pl.concat([raw, raw.head(1), raw.slice(2, 1).with_columns(volume=pl.lit(1.0))])

    checked = bar.validate_bars(rows[order], bar.MINUTE_BARS, dataset="bars")

    assert sorted(checked.bars["symbol"]) == sorted(raw["symbol"].gather([0, 1, 3]))
    assert checked.rejected.height == 2
