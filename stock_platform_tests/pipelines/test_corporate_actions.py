"""What a provider tells of splits and dividends replaces what it told before.

Prices are adjusted by what the bars do not contradict; what left stays in the register.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import DIVIDENDS, DIVIDENDS_KEY, SPLITS, SPLITS_KEY, SYMBOLS
from stock_platform.errors import InvalidDataError
from stock_platform.lake import read, write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.reference import judge_actions, update_dividends, update_splits
from stock_platform.providers.sources import MarketStatus
from stock_platform.settings import HealingSettings, MarketSettings

FIRST, LAST = date(2026, 10, 1), date(2026, 11, 20)
DAY, NEXT = date(2026, 11, 12), date(2026, 11, 13)
SEEN = datetime(2026, 11, 20, 13, tzinfo=UTC)


class Vendor:
    """A source of reference data that tells what its lists hold."""

    name = "massive"

    def __init__(self) -> None:
        self.split_rows: list[tuple[date, float, float]] = []
        self.dividend_rows: list[tuple[date, str, str]] = []

    def symbols(self, on: date) -> pl.DataFrame:
        return pl.DataFrame(schema=SYMBOLS)

    def splits(self, first: date, last: date) -> pl.DataFrame:
        rows = [("A", on, a, b, self.name, SEEN) for on, a, b in self.split_rows]
        return pl.DataFrame(rows, schema=SPLITS, orient="row")

    def dividends(self, first: date, last: date) -> pl.DataFrame:
        rows = [
            {
                "symbol": "A",
                "ex_on": on,
                "paid_on": on + timedelta(days=20),
                "amount": amount,
                "currency": "USD",
                "frequency": 4,
                "kind": kind,
                "provider": self.name,
                "observed_at": SEEN,
            }
            for on, amount, kind in self.dividend_rows
        ]
        return (
            pl.DataFrame(rows, schema_overrides={"amount": pl.String}).select(
                pl.col(name).cast(dtype) for name, dtype in DIVIDENDS.items()
            )
            if rows
            else pl.DataFrame(schema=DIVIDENDS)
        )

    def market_status(self) -> MarketStatus:
        raise NotImplementedError


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def lake(tmp_path: Path) -> LakeContext:
    return LakeContext(FileStore.open(tmp_path), MarketSettings(), HealingSettings())


def publish_days(lake: LakeContext, *, split_on: date | None = None, ratio: float = 1.0) -> None:
    days = lake.calendar.sessions(FIRST, LAST)
    price = [100.0 * (ratio if split_on and day >= split_on else 1.0) for day in days]
    rows = pl.DataFrame({"symbol": ["A"] * len(days), "session": days}).with_columns(
        *(pl.Series(name, price) for name in ("open", "high", "low", "close")),
        vwap=pl.lit(None),
        volume=pl.lit(100),
        transactions=pl.lit(1),
        provider=pl.lit("massive"),
        revision=pl.lit("final"),
        observed_at=pl.lit(SEEN),
    )
    write.publish_daily_bars(lake.store, rows.select(list(DAILY_BARS)).cast(DAILY_BARS))


def update(lake: LakeContext, vendor: Vendor) -> None:
    update_splits(lake, vendor, FIRST, LAST)
    update_dividends(lake, vendor, FIRST, LAST)


def adjusted(lake: LakeContext, day: date = FIRST) -> float:
    text = f"select adj_close from daily_bars_adjusted where session = date '{day}'"
    return round(query.query(lake.store, text).item(), 6)


def register(lake: LakeContext) -> pl.DataFrame:
    return read.table(lake.store, "corporate_actions", None)


def test_a_split_taken_back_adjusts_no_more(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake)
    vendor.split_rows = [(date(2026, 12, 30), 20.0, 1.0)]
    update_splits(lake, vendor, FIRST, date(2026, 12, 31))

    vendor.split_rows = []
    update_splits(lake, vendor, FIRST, date(2026, 12, 31))

    assert read.table(lake.store, "splits", None).is_empty()
    assert register(lake)["left_at"].null_count() == 0


def test_a_split_moved_by_a_day_counts_once(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake, split_on=NEXT, ratio=0.1)
    vendor.split_rows = [(DAY, 1.0, 10.0)]
    update(lake, vendor)

    vendor.split_rows = [(NEXT, 1.0, 10.0)]
    update(lake, vendor)

    assert read.table(lake.store, "splits", None)["executed_on"].to_list() == [NEXT]
    assert (adjusted(lake), adjusted(lake, LAST)) == (10.0, 10.0)


def test_a_split_told_a_day_early_adjusts_nothing(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake, split_on=NEXT, ratio=0.1)
    vendor.split_rows = [(DAY, 1.0, 10.0)]

    update(lake, vendor)

    [row] = register(lake).to_dicts()
    assert (row["verdict"], row["moved_to"]) == ("misdated", NEXT)
    assert read.table(lake.store, "splits", None).is_empty()


def test_a_split_is_judged_again_when_its_bars_come(lake: LakeContext, vendor: Vendor) -> None:
    vendor.split_rows = [(DAY, 20.0, 1.0)]
    update(lake, vendor)
    before = read.table(lake.store, "splits", None).height
    publish_days(lake)

    judge_actions(lake, [DAY])

    assert (before, read.table(lake.store, "splits", None).height) == (1, 0)
    assert register(lake)["verdict"].to_list() == ["contradicted"]


def test_two_contradictory_splits_of_a_day_are_decided_by_the_bars(
    lake: LakeContext, vendor: Vendor
) -> None:
    publish_days(lake, split_on=DAY, ratio=15.0)
    vendor.split_rows = [(DAY, 15.0, 1.0), (DAY, 1.0, 15.0)]

    update(lake, vendor)

    splits = read.table(lake.store, "splits", None)
    assert splits.select("split_from", "split_to").rows() == [(15.0, 1.0)]
    assert adjusted(lake) == 1500.0


def test_two_real_splits_of_a_day_are_multiplied(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake, split_on=DAY, ratio=1 / 6)
    vendor.split_rows = [(DAY, 1.0, 2.0), (DAY, 1.0, 3.0)]

    update(lake, vendor)

    assert adjusted(lake) == pytest.approx(100 / 6, abs=1e-5)


@pytest.mark.parametrize(
    "restated",
    [(NEXT, "5", "regular"), (DAY, "5", "special"), (DAY, "5", "CD")],
    ids=["another ex-date", "another kind", "another word for its kind"],
)
def test_a_restated_dividend_counts_once(
    lake: LakeContext, vendor: Vendor, restated: tuple[date, str, str]
) -> None:
    publish_days(lake)
    vendor.dividend_rows = [(DAY, "5", "regular")]
    update(lake, vendor)
    vendor.dividend_rows = [restated]

    update(lake, vendor)

    assert read.table(lake.store, "dividends", None).height == 1
    assert adjusted(lake) == 95.0


def test_two_dividends_of_a_day_and_kind_are_added(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake)
    vendor.dividend_rows = [(DAY, "0.5", "regular"), (DAY, "3", "regular")]

    update(lake, vendor)

    assert adjusted(lake) == 96.5


def test_an_answer_repeated_writes_nothing(lake: LakeContext, vendor: Vendor) -> None:
    publish_days(lake)
    vendor.split_rows = [(DAY, 20.0, 21.0)]
    vendor.dividend_rows = [(DAY, "5", "regular")]
    update(lake, vendor)
    before = {entry.path: entry.version for entry in lake.store.list("corporate_actions")}

    update(lake, vendor)

    assert {e.path: e.version for e in lake.store.list("corporate_actions")} == before


def test_an_answer_without_the_known_splits_is_refused(lake: LakeContext, vendor: Vendor) -> None:
    days = lake.calendar.sessions(FIRST, LAST)
    vendor.split_rows = [(day, 1.0, 2.0) for day in days[:25]]
    update_splits(lake, vendor, FIRST, LAST)
    vendor.split_rows = vendor.split_rows[:3]

    with pytest.raises(InvalidDataError, match="lists 3 splits where 25 are known"):
        update_splits(lake, vendor, FIRST, LAST)

    assert read.table(lake.store, "splits", None).height == 25


def test_actions_outside_the_span_asked_for_stay(lake: LakeContext, vendor: Vendor) -> None:
    vendor.split_rows = [(FIRST, 1.0, 2.0), (DAY, 1.0, 3.0)]
    update_splits(lake, vendor, FIRST, LAST)
    vendor.split_rows = [(DAY, 1.0, 3.0)]

    update_splits(lake, vendor, DAY, LAST)

    assert read.table(lake.store, "splits", None).height == 2


def test_a_lake_without_a_register_keeps_what_it_had(lake: LakeContext, vendor: Vendor) -> None:
    old = pl.DataFrame([("A", FIRST, 1.0, 2.0, "massive", SEEN)], schema=SPLITS, orient="row")
    write.publish_table(lake.store, "splits", None, old, key=SPLITS_KEY)
    paid = Vendor()
    paid.dividend_rows = [(FIRST, "1", "CD")]
    dividends = paid.dividends(FIRST, LAST)
    write.publish_table(lake.store, "dividends", None, dividends, key=DIVIDENDS_KEY)
    vendor.split_rows = [(DAY, 1.0, 3.0)]

    update_splits(lake, vendor, DAY, LAST)

    assert read.table(lake.store, "splits", None)["executed_on"].to_list() == [FIRST, DAY]
    assert read.table(lake.store, "dividends", None)["kind"].to_list() == ["regular"]
