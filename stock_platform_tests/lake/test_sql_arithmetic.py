"""What analysts write never overflows: products of any two columns, their sums and windows."""

from datetime import date
from decimal import Decimal
from itertools import combinations_with_replacement
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS, PRICE_MAX, VOLUME_MAX
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform_tests.domain.examples import DAY, bars_of

SYMBOLS = 50
NUMBERS = ("open", "high", "low", "close", "vwap", "volume", "transactions")
LARGEST = {
    **dict.fromkeys(NUMBERS[:5], Decimal(int(PRICE_MAX))),
    "volume": Decimal(int(VOLUME_MAX)),
    "transactions": 3_000_000_000,
}
AGGREGATES = ("sum", "avg", "min", "max", "stddev", "median", "product")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    store = FileStore.open(tmp_path_factory.mktemp("lake"))
    largest = [pl.lit(value).alias(name) for name, value in LARGEST.items()]
    minutes = bars_of([(f"S{number}", 0) for number in range(SYMBOLS)])
    minutes = minutes.with_columns(largest).cast(MINUTE_BARS)
    write.publish_minute_bars(store, DAY, minutes)
    days = minutes.drop("minute").with_columns(session=pl.lit(DAY)).select(list(DAILY_BARS))
    write.publish_daily_bars(store, days.cast(DAILY_BARS))
    return store


@pytest.mark.parametrize("table", ["minute_bars", "daily_bars"])
@pytest.mark.parametrize(("one", "other"), [*combinations_with_replacement(NUMBERS, 2)])
def test_a_product_of_two_columns_is_exact(
    store: FileStore, table: str, one: str, other: str
) -> None:
    answer = query(
        store,
        f"SELECT {one} * {other} AS value, sum({one} * {other}) OVER () AS total, "
        f"lag({one}) OVER (ORDER BY symbol) * {other} AS shifted, "
        f"({one} - 1) * ({other} + 1) AS apart FROM {table} ORDER BY symbol",
    )

    exact = int(LARGEST[one]) * int(LARGEST[other])
    assert [int(value) for value in answer["value"]] == [exact] * SYMBOLS
    assert int(answer["total"][0]) == exact * SYMBOLS
    assert int(answer["shifted"][1]) == exact


@pytest.mark.parametrize("table", ["minute_bars", "daily_bars", "daily_bars_adjusted"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(
    "expression", [*NUMBERS, "close * volume", "(high - low) * (high - low)", "volume * 100"]
)
def test_an_aggregate_is_finite(
    store: FileStore, table: str, aggregate: str, expression: str
) -> None:
    # A product of all rows is a number of hundreds of digits: only its kind is looked at.
    value = f"ln(1 + {expression})" if aggregate == "product" else expression

    answer = query(store, f"SELECT {aggregate}({value}) AS value FROM {table}")

    assert answer["value"].null_count() == 0


def test_the_volume_weighted_price_of_a_day_is_exact(store: FileStore) -> None:
    answer = query(store, "SELECT sum(close * volume) / sum(volume) AS vwap FROM minute_bars")

    assert answer["vwap"][0] == float(PRICE_MAX)


def test_a_cube_of_the_dearest_listed_price_fits(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path)
    dear = bars_of([("BRK.A", 0)]).with_columns(
        pl.lit(Decimal("1000000")).alias(name) for name in NUMBERS[:5]
    )
    days = dear.drop("minute").with_columns(session=pl.lit(date(2026, 11, 19)))
    write.publish_daily_bars(store, days.select(list(DAILY_BARS)).cast(DAILY_BARS))

    answer = query(store, "SELECT close * close * close AS cube FROM daily_bars")

    assert int(answer["cube"][0]) == 10**18
