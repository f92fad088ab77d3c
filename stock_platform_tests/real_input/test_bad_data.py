"""Defects that were really published end in a check that names them; sound rows do not."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain import bars
from stock_platform.domain.reference import DIVIDENDS_KEY, SPLITS
from stock_platform.healing.anomalies import invalid_ohlc, repeated_dividends, unexplained_jumps
from stock_platform.lake import write
from stock_platform.lake.object_store import open_store
from stock_platform.lake.sql.query import query
from stock_platform.settings import LakeSettings
from stock_platform_tests.real_input.bad_rows import published
from stock_platform_tests.shared_data import SHARED

FILES = sorted(path.stem for path in (SHARED / "bad_data").glob("*.csv"))
DAILY = [name for name in FILES if "-1d-" in name]
SERIES_WITHOUT_JUMPS = [name for name in DAILY if name.endswith("-fixed") or "-div" in name]
NO_SPLITS = pl.DataFrame(schema=SPLITS)


def named(days: pl.DataFrame, splits: pl.DataFrame) -> list[str]:
    return [str(day) for day in unexplained_jumps(days, splits)["session"]]


def test_pence_among_pounds_are_named_where_the_unit_changes() -> None:
    days = published("AET-L-1d-100x-error").days

    assert named(days, NO_SPLITS) == ["2022-05-09", "2022-05-20"]


@pytest.mark.parametrize(
    ("name", "sessions"),
    [
        # Prices fall to a fifth on the ex-date, a day before the split they are told with.
        ("4063-T-1d-bad-stock-split", ["2023-03-29", "2023-03-30"]),
        # Part of the prices before the split were multiplied, the others were not.
        ("DEX-AX-1d-bad-stock-split", ["2023-05-22", "2023-05-30"]),
        # One day is divided by ten where the split multiplies.
        ("LA-V-1d-bad-stock-split", ["2020-08-26", "2020-08-27"]),
    ],
)
def test_a_split_that_prices_do_not_follow_is_named(name: str, sessions: list[str]) -> None:
    found = published(name)

    assert named(found.days, found.splits) == sessions


def test_a_dividend_told_twice_is_named() -> None:
    found = repeated_dividends(published("SAND-1d-bad-div").dividends)

    told = found.select("ex_on_before", "ex_on", pl.col("amount").cast(pl.Float64)).rows()
    assert told == [(date(2024, 1, 12), date(2024, 1, 16), 0.015)]


def test_a_missing_adjustment_can_not_come_in(tmp_path: Path) -> None:
    """The vendor forgot to adjust for a dividend; our adjusted closes are computed, not taken."""
    found, repaired = (
        published("8TRA-DE-1d-missing-div-adjust"),
        published("8TRA-DE-1d-missing-div-adjust-fixed"),
    )
    store = open_store(LakeSettings.model_validate({"lake": str(tmp_path)}))
    write.publish_daily_bars(store, found.days)
    write.publish_table(store, "dividends", None, found.dividends, key=DIVIDENDS_KEY)

    ours = query(store, "select session, adj_close from daily_bars_adjusted order by session")

    right = repaired.rows.sort("session")["adj_close"].cast(pl.Float64).to_list()
    wrong = found.rows.sort("session")["adj_close"].cast(pl.Float64).to_list()
    assert [row[1] for row in ours.iter_rows()] == pytest.approx(right, abs=1e-5)
    assert wrong != pytest.approx(right, abs=0.1)


def test_adjusted_prices_where_traded_ones_belong_are_named() -> None:
    repaired = published("4063-T-1d-bad-stock-split-fixed")

    assert named(repaired.days, repaired.splits) == ["2023-03-30"]


@pytest.mark.parametrize("name", SERIES_WITHOUT_JUMPS)
def test_a_sound_series_is_not_named(name: str) -> None:
    assert named(published(name).days, NO_SPLITS) == []


@pytest.mark.parametrize("name", ["SAND-1d-bad-div-fixed", "EA-15m-no-bad-divs"])
def test_sound_dividends_are_not_named(name: str) -> None:
    assert repeated_dividends(published(name).dividends).is_empty()


@pytest.mark.parametrize("name", DAILY)
def test_every_published_row_is_kept_or_refused_with_a_reason(name: str) -> None:
    found = published(name)

    sifted = found.sifted

    assert sifted.bars.height + sifted.rejected.height == found.rows.height
    assert sifted.rejected["reason"].null_count() == 0
    assert invalid_ohlc(sifted.bars).is_empty()


def test_wild_bars_outside_regular_hours_are_neither_refused_nor_named() -> None:
    """EA trades at 170 and 203 within one quarter of an hour before the open: it really did."""
    rows = published("EA-15m-no-bad-divs").rows

    sifted = bars.validate_bars(rows, bars.MINUTE_BARS, dataset="minute_bars")
    closes = sifted.bars.sort("minute").group_by(
        pl.col("minute").dt.convert_time_zone("America/New_York").dt.date().alias("session"),
        maintain_order=True,
    )
    days = closes.agg(pl.col("symbol", "close").last())

    assert sifted.rejected.is_empty()
    assert sifted.bars.height == rows.height
    assert invalid_ohlc(sifted.bars).is_empty()
    assert unexplained_jumps(days, NO_SPLITS).is_empty()
