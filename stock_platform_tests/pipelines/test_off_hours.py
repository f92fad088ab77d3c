"""Minutes outside the lake's hours are kept apart, and move when the hours change."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.sessions import Calendar, Overrides
from stock_platform.healing.aggregate import from_minutes
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import off_hours, read, stream_parts, write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform.lake.stream_parts import compact
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import HealingSettings, MarketSettings, load
from stock_platform.stream.events import Bar
from stock_platform.stream.sinks.minutes import MinuteWriter

DAY = date(2026, 11, 20)
HALF_DAY = date(2026, 11, 27)
REGULAR, EXTENDED = Calendar(), Calendar(extended=True)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path)


def context_of(store: FileStore, *, extended: bool = False) -> LakeContext:
    market = MarketSettings.model_validate(
        {"symbols": ("A", "B"), "extended_hours": extended, "first_session": "2026-11-02"}
    )
    return LakeContext(store, market, load(HealingSettings))


def stream(store: FileStore, calendar: Calendar, day: date, volume: int = 100) -> MinuteWriter:
    """What `AM.*` sends of one symbol from 04:00 to 20:00 New York."""
    writer = MinuteWriter(store, calendar, "w")
    start = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    for number in range(960):
        at = start + timedelta(minutes=number)
        price = 90.0 if number < 330 else 100.0
        writer.add(
            Bar(
                sym="A", s=int(at.timestamp() * 1000), v=volume, o=price, c=price, h=price, l=price
            ),
            at + timedelta(seconds=62),
        )
    writer.close_before(start + timedelta(minutes=1_000))
    return writer


@pytest.mark.parametrize(
    ("calendar", "day", "minutes"),
    [
        (REGULAR, DAY, 390),
        (REGULAR, HALF_DAY, 210),
        (REGULAR, date(2026, 11, 2), 390),
        (EXTENDED, DAY, 960),
        (EXTENDED, HALF_DAY, 780),
    ],
    ids=["regular", "half-day", "after the clocks went back", "extended", "extended half-day"],
)
def test_the_stream_brings_the_hours_of_the_lake(
    store: FileStore, calendar: Calendar, day: date, minutes: int
) -> None:
    stream(store, calendar, day)
    compact(store, day)

    bars = read.minute_bars(store, day)

    assert bars.height == minutes
    assert bars.select(off_hours.within(calendar.grid(day)).all()).item()
    apart = read.table(store, "off_hours_bars", day)
    assert apart.height == 960 - minutes
    assert query(store, "SELECT count(*) AS n FROM off_hours_bars")["n"][0] == 960 - minutes


def test_the_volume_of_a_day_does_not_depend_on_whether_it_was_streamed(store: FileStore) -> None:
    stream(store, REGULAR, DAY)

    daily = from_minutes(read.minute_bars(store, DAY), REGULAR.grid(DAY))

    assert daily.select("volume", "low").cast(pl.Float64).row(0) == (39_000, 100)


def test_a_bar_that_is_sent_again_replaces_the_one_kept_apart(store: FileStore) -> None:
    writer = stream(store, REGULAR, DAY, volume=100)
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    bar = Bar(sym="A", s=int(at.timestamp() * 1000), v=500, o=90.0, c=90.0, h=90.0, l=90.0)

    writer.add(bar, at + timedelta(hours=20))
    writer.close_before(at + timedelta(days=1))

    apart = read.table(store, "off_hours_bars", DAY).filter(pl.col("minute") == at)
    assert apart["volume"].cast(pl.Float64).to_list() == [500]


def bars_at(*minutes: datetime) -> pl.DataFrame:
    price = dict.fromkeys(("open", "high", "low", "close"), "10")
    rows = [
        {"symbol": "A", "minute": minute, **price, "volume": "5", "provider": "massive"}
        for minute in minutes
    ]
    seen = {"revision": "live", "observed_at": minutes[-1], "vwap": None, "transactions": None}
    return pl.DataFrame([row | seen for row in rows]).select(list(MINUTE_BARS)).cast(MINUTE_BARS)


def test_what_an_earlier_release_mixed_in_is_moved_once(store: FileStore) -> None:
    grid = REGULAR.grid(DAY)
    early, late = grid.opens_at - timedelta(minutes=1), grid.closes_at
    write.publish_minute_bars(store, DAY, bars_at(early, grid.opens_at, late))

    moved = [off_hours.sort_out(store, grid) for _ in range(2)]

    assert moved == [off_hours.Moved(out=2), off_hours.Moved()]
    assert read.minute_bars(store, DAY)["minute"].to_list() == [grid.opens_at]
    assert read.table(store, "off_hours_bars", DAY)["minute"].to_list() == [early, late]


def test_hours_switched_on_and_off_again_lose_nothing(store: FileStore) -> None:
    stream(store, REGULAR, DAY)
    compact(store, DAY)

    off_hours.sort_out(store, EXTENDED.grid(DAY))
    extended = context_of(store, extended=True).coverage(EXTENDED.grid(DAY)).totals()
    off_hours.sort_out(store, REGULAR.grid(DAY))

    assert extended["observed"] == 960
    assert read.minute_bars(store, DAY).height == 390
    assert read.table(store, "off_hours_bars", DAY).height == 570


def test_a_bar_that_comes_while_others_move_is_not_lost(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, publish = EXTENDED.grid(DAY), write.publish_minute_bars
    early, later = grid.opens_at, grid.opens_at + timedelta(minutes=1)
    off_hours.keep(store, DAY, bars_at(early))

    def publish_while_the_stream_writes(*args: Any) -> Any:
        off_hours.keep(store, DAY, bars_at(later))
        return publish(*args)

    monkeypatch.setattr(write, "publish_minute_bars", publish_while_the_stream_writes)
    off_hours.sort_out(store, grid)
    monkeypatch.undo()
    off_hours.sort_out(store, grid)

    assert read.minute_bars(store, DAY)["minute"].to_list() == [early, later]
    assert read.table(store, "off_hours_bars", DAY).is_empty()


def test_an_early_close_learnt_later_moves_the_afternoon(store: FileStore) -> None:
    early = Calendar(overrides=Overrides(early_closes={DAY: time(13)}))
    stream(store, REGULAR, DAY)
    compact(store, DAY)

    moved = off_hours.sort_out(store, early.grid(DAY))

    assert moved == off_hours.Moved(out=180)
    assert read.minute_bars(store, DAY).height == 210


def test_a_part_of_a_settled_session_is_added_without_deriving_it(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, grid = context_of(store), REGULAR.grid(DAY)
    coverage = context.derive(grid)
    coverage_table.update(store, grid, lambda _: coverage)
    inside, after = grid.opens_at, grid.closes_at + timedelta(minutes=1)
    stream_parts.write_live_minute(store, DAY, "1601", "w", bars_at(inside, after))
    monkeypatch.setattr(LakeContext, "derive", None)

    found = context.coverage(grid)

    assert found.totals()["observed"] == 1
    assert found.bits["observed"][0, 0]


def test_coverage_with_parts_equals_coverage_derived_anew(store: FileStore) -> None:
    context, grid = context_of(store), REGULAR.grid(DAY)
    coverage_table.update(store, grid, lambda _: context.derive(grid))
    stream(store, REGULAR, DAY)
    stream_parts.write_connections(store, DAY, "w", connections(grid.opens_at))

    found, derived = context.coverage(grid), context.derive(grid)

    assert found.totals() == derived.totals()
    assert {name: bits.tolist() for name, bits in found.bits.items()} == {
        name: bits.tolist() for name, bits in derived.bits.items()
    }
    assert found.totals()["silent"] > 0


def connections(opened: datetime) -> pl.DataFrame:
    from stock_platform.domain.coverage import CONNECTIONS

    row = {"writer": "w", "connection": "c", "channel": "AM", "connected_at": opened}
    return pl.DataFrame([row | {"alive_until": opened + timedelta(hours=2)}], schema=CONNECTIONS)
