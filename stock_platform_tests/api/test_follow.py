"""`follow` returns a security under every symbol it had, adjusted as one."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import (
    SPLITS,
    SPLITS_KEY,
    SYMBOL_SPANS,
    SYMBOL_SPANS_KEY,
)
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform_tests.domain.examples import bars_of

DAYS = [date(2026, 11, day) for day in (17, 18, 19, 20)]
RENAMED, SEEN = DAYS[2], datetime(2026, 11, 23, 12, tzinfo=UTC)
FIGI = "BBG000MM2P62"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> sp.Lake:
    """A lake in which FB became META, META was a fund before, and one share became two."""
    folder: Path = tmp_path_factory.mktemp("follow")
    store = FileStore.open(folder)
    symbols = {day: ("FB", "META") if day < RENAMED else ("META",) for day in DAYS}
    for day, names in symbols.items():
        write.publish_minute_bars(
            store, day, bars_of([(s, 0) for s in names], sp.Calendar().grid(day))
        )
    value = bars_of([("A", 0)]).drop("symbol", "minute").row(0, named=True)
    pairs = [(name, day) for day, names in symbols.items() for name in names]
    rows = [{"symbol": name, "session": day, **value} for name, day in pairs]
    write.publish_daily_bars(store, pl.DataFrame(rows, schema=DAILY_BARS))
    split = [("META", DAYS[3], 1.0, 2.0, "made", SEEN), ("META", DAYS[1], 1.0, 2.0, "made", SEEN)]
    rows = pl.DataFrame(split, schema=SPLITS, orient="row")
    write.publish_table(store, "splits", None, rows, key=SPLITS_KEY)
    spans = [
        ("FB", FIGI, None, RENAMED, None, "list", RENAMED),
        ("META", "BBG00ROUNDHILL", None, RENAMED, None, "list", RENAMED),
        ("META", FIGI, RENAMED, None, "list", None, DAYS[3]),
    ]
    frame = pl.DataFrame(spans, schema=SYMBOL_SPANS, orient="row")
    write.update_table(store, "symbol_spans", None, lambda _: frame, key=SYMBOL_SPANS_KEY)
    return sp.open_lake(folder)


@pytest.mark.parametrize("name", ["META", FIGI, "FB"])
def test_daily_bars_follow_a_security_through_its_symbols(lake: sp.Lake, name: str) -> None:
    rows = lake.daily_bars(DAYS[0], DAYS[-1], symbols=[name], follow=True)

    assert rows.select("session", "symbol", "traded_as").rows() == [
        (day, name, "FB" if day < RENAMED else "META") for day in DAYS
    ]


def test_minute_bars_follow_too_lazily_as_well(lake: sp.Lake) -> None:
    rows = lake.minute_bars(DAYS[0], DAYS[-1], symbols=["META"], follow=True)
    lazy = lake.minute_bars(DAYS[0], DAYS[-1], symbols=["META"], follow=True, lazy=True)

    assert rows["traded_as"].to_list() == ["FB", "FB", "META", "META"]
    assert lazy.collect().equals(rows)
    assert lazy.select("traded_as").collect()["traded_as"].to_list() == rows["traded_as"].to_list()


def test_without_follow_a_symbol_is_a_symbol(lake: sp.Lake) -> None:
    rows = lake.daily_bars(DAYS[0], DAYS[-1], symbols=["META"])

    assert rows.height == len(DAYS)
    assert "traded_as" not in rows.columns


def test_adjusted_bars_of_a_security_are_in_the_shares_of_today(lake: sp.Lake) -> None:
    """The split of DAYS[1] is listed under the newest symbol, which a fund had then."""
    days = lake.daily_bars(DAYS[0], DAYS[-1], symbols=["META"], follow=True, adjusted=True)
    minutes = lake.minute_bars(DAYS[0], DAYS[-1], symbols=["META"], follow=True, adjusted=True)

    assert days["split_factor"].to_list() == [0.25, 0.5, 0.5, 1.0]
    assert minutes["split_factor"].to_list() == [0.25, 0.5, 0.5, 1.0]
    assert days["traded_as"].to_list() == ["FB", "FB", "META", "META"]


def test_a_symbol_without_spans_is_followed_as_itself(lake: sp.Lake) -> None:
    assert lake.daily_bars(DAYS[0], symbols=["NONE"], follow=True).height == 0
    assert lake.daily_bars(DAYS[0], symbols=["AAPL", "META"], follow=True).height == 1


def test_whom_to_follow_must_be_named(lake: sp.Lake) -> None:
    with pytest.raises(sp.InvalidDataError, match="follow needs symbols"):
        lake.daily_bars(DAYS[0], follow=True)
