"""What loses is kept: the lake as of any instant, in frames and in SQL, and no claim lost."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stock_platform.domain import claims
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.lake import history, parquet, read, stream_parts, tables, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import connect, query
from stock_platform.lake.stream_parts import compact
from stock_platform_tests.domain.examples import DAY, at, bars_of
from stock_platform_tests.domain.test_claims import CLAIMS, frame

COLUMNS = list(MINUTE_BARS)


def publish(store: ObjectStore, rows: pl.DataFrame) -> None:
    """Publish claims one by one, as they arrive."""
    for row in rows.iter_slices(1):
        gone = row["retracted"].item()
        bars = row.clear() if gone else row
        write.publish_minute_bars(
            store, DAY, bars.select(COLUMNS), retracted=row if gone else row.clear()
        )


def in_sql(store: ObjectStore, source: str) -> pl.DataFrame:
    rows = query(store, f"SELECT * FROM {source} ORDER BY symbol, minute")
    return rows.select(COLUMNS).cast(MINUTE_BARS)


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(CLAIMS, st.integers(-1, 4).map(lambda n: at("15:30") + timedelta(hours=n)))
def test_as_of_equals_a_lake_fed_only_with_what_was_observed_by_then(
    rows: list[dict[str, object]], instant: datetime
) -> None:
    with TemporaryDirectory() as folder:
        everything, known = FileStore.open(f"{folder}/a"), FileStore.open(f"{folder}/b")
        publish(everything, frame(rows))
        publish(known, frame(rows).filter(pl.col("observed_at") <= instant))
        expected = read.minute_bars(known, DAY)

        assert read.minute_bars(everything, DAY, as_of=instant).equals(expected)
        assert in_sql(everything, f"minute_bars_as_of('{instant}')").equals(expected)
        assert in_sql(known, "minute_bars").equals(expected)


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(CLAIMS, CLAIMS)
def test_live_parts_are_merged_on_reading_as_by_compaction(
    stored: list[dict[str, object]], live: list[dict[str, object]]
) -> None:
    with TemporaryDirectory() as folder:
        store = FileStore.open(folder)
        publish(store, frame(stored))
        parts = frame(live).filter(~pl.col("retracted")).select(COLUMNS)
        for number, part in enumerate(parts.iter_slices(1)):
            stream_parts.write_live_minute(store, DAY, f"10{number:02}", "w", part)
        seen, sql = read.minute_bars(store, DAY), in_sql(store, "minute_bars")

        compact(store, DAY)

        values = pl.exclude("observed_at")
        assert seen.select(values).equals(read.minute_bars(store, DAY).select(values))
        assert sql.select(values).equals(seen.select(values))


def later(bars: pl.DataFrame, hours: int = 1, **columns: object) -> pl.DataFrame:
    new = {name: pl.lit(value) for name, value in columns.items()}
    moved = pl.col("observed_at") + timedelta(hours=hours)
    return bars.with_columns(observed_at=moved, **new).cast(MINUTE_BARS)


def test_a_confirmed_session_has_no_history(store: ObjectStore) -> None:
    live = bars_of([("A", 0), ("B", 0)]).with_columns(revision=pl.lit("live")).cast(MINUTE_BARS)
    write.publish_minute_bars(store, DAY, live)

    write.publish_minute_bars(store, DAY, later(live, revision="final"))

    assert read.sessions_present(store, "minute_bars_history") == set()
    assert read.minute_bars(store, DAY, as_of=at("15:30")).equals(live)


def test_only_what_changed_is_history(store: ObjectStore) -> None:
    bars = bars_of([("A", slot) for slot in range(100)])
    write.publish_minute_bars(store, DAY, bars)
    changed = later(bars.head(1), close=Decimal("9.5"))

    write.publish_minute_bars(store, DAY, pl.concat([changed, later(bars.slice(1))]))

    [row] = read.table(store, "minute_bars_history", DAY).rows(named=True)
    assert (row["close"], row["reason"], row["superseded_at"]) == (
        Decimal(11),
        "superseded",
        at("16:00"),
    )
    assert read.minute_bars(store, DAY)["observed_at"].to_list()[1:] == [at("15:00")] * 99


def test_a_retraction_takes_the_bar_out_and_a_later_bar_brings_it_back(store: ObjectStore) -> None:
    bar = bars_of([("A", 0)])
    write.publish_minute_bars(store, DAY, bar)
    gone = claims.retractions(
        MINUTE_BARS, bar, provider="massive", revision="final", at=at("16:00")
    )

    taken = write.publish_minute_bars(store, DAY, bar.clear(), retracted=gone)

    assert taken.retracted == 1
    assert read.minute_bars(store, DAY).height == 0
    assert in_sql(store, "minute_bars").height == 0
    assert set(read.table(store, "minute_bars_history", DAY)["reason"]) == {
        "retracted",
        "retraction",
    }
    write.publish_minute_bars(store, DAY, later(bar, 2, revision="final"))
    assert read.minute_bars(store, DAY).height == 1
    assert read.minute_bars(store, DAY, as_of=at("16:30")).height == 0


def test_a_live_part_that_comes_late_does_not_bring_a_retracted_bar_back(
    store: ObjectStore,
) -> None:
    bar = bars_of([("A", 0)])
    write.publish_minute_bars(store, DAY, bar)
    gone = claims.retractions(
        MINUTE_BARS, bar, provider="massive", revision="final", at=at("16:00")
    )
    write.publish_minute_bars(store, DAY, bar.clear(), retracted=gone)
    live = bar.with_columns(revision=pl.lit("live")).cast(MINUTE_BARS)

    stream_parts.write_live_minute(store, DAY, "0930", "w", live)

    assert read.minute_bars(store, DAY).height == 0
    assert in_sql(store, "minute_bars").height == 0


def test_stopped_between_history_and_bars_nothing_is_lost_or_doubled(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = bars_of([("A", 0)])
    write.publish_minute_bars(store, DAY, bar)
    new = later(bar, revision="final", close=Decimal(10))
    keep = history.keep_others

    def killed(*args: object) -> None:
        keep(*args)  # type: ignore[arg-type]
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(history, "keep_others", killed)
        with pytest.raises(SystemExit):
            write.publish_minute_bars(store, DAY, new)

    assert read.minute_bars(store, DAY, as_of=at("15:30")).equals(bar)
    write.publish_minute_bars(store, DAY, new)
    assert read.minute_bars(store, DAY).equals(new)
    assert in_sql(store, f"minute_bars_as_of('{at('15:30')}')").equals(bar)


def test_an_object_of_before_is_merged_and_read_as_of(store: ObjectStore) -> None:
    names = pl.Enum(["live", "rest", "final", "correction"])
    old = bars_of([("A", 0), ("B", 0)])
    data = parquet.encode(
        "minute_bars", old.with_columns(pl.col("revision").cast(pl.String).cast(names))
    )
    store.put_if_match(tables.data("minute_bars", DAY), data, None)
    assert in_sql(store, f"minute_bars_as_of('{at('15:30')}')").equals(old)

    write.publish_minute_bars(store, DAY, later(old.head(1), revision="final", vwap=None))

    assert read.minute_bars(store, DAY)["vwap"].to_list() == [Decimal("10.5")] * 2
    assert read.minute_bars(store, DAY, as_of=at("15:30")).equals(old)


def test_daily_bars_have_a_history_too(tmp_path: Path) -> None:
    store = FileStore.open(str(tmp_path))
    day = bars_of([("A", 0)]).with_columns(session=pl.lit(DAY)).drop("minute")
    day = day.select(list(tables.TABLES["daily_bars"].schema))
    write.publish_daily_bars(store, day)
    moved = pl.col("observed_at") + timedelta(hours=1)
    write.publish_daily_bars(
        store,
        day.with_columns(moved, close=pl.lit(Decimal(10)), revision=pl.lit("final")).cast(
            day.schema
        ),
    )

    assert read.daily_bars(store, 2026, 2026)["close"].to_list() == [Decimal(10)]
    assert read.daily_bars(store, 2026, 2026, as_of=at("15:30")).equals(day)
    with connect(store) as connection:
        known = connection.sql(f"SELECT close FROM daily_bars_as_of('{at('15:30')}')").pl()
    assert known["close"].to_list() == [Decimal(11)]
