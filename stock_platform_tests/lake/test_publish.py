"""Publishing merges, counts, skips what says nothing new and refuses what does not belong."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from stock_platform.domain import bars as bar
from stock_platform.errors import PermanentError
from stock_platform.lake import parquet, read, tables, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform_tests.domain.examples import DAY, at, bars_of
from stock_platform_tests.domain.test_merge import FRAMES
from stock_platform_tests.lake.workers import bars

PATH = tables.data("minute_bars", DAY)


def version(store: ObjectStore) -> str | None:
    found = store.get(PATH)
    return found[1] if found else None


def test_what_is_published_is_read_back_in_order(store: ObjectStore) -> None:
    rows = bars_of([("B", 1), ("A", 0), ("B", 0)])

    write.publish_minute_bars(store, DAY, rows)

    assert read.minute_bars(store, DAY).equals(rows.sort("symbol", "minute"))


def test_publishing_again_writes_nothing(store: ObjectStore) -> None:
    first = write.publish_minute_bars(store, DAY, bars_of([("A", 0), ("B", 0)]))
    before = version(store)

    again = write.publish_minute_bars(store, DAY, bars_of([("B", 0)]))

    assert (again.written, again.added, again.changed) == (False, 0, 0)
    assert (again.rows, again.sha256, version(store)) == (2, first.sha256, before)


def test_a_later_look_at_the_same_bars_writes_nothing(disk: ObjectStore) -> None:
    rows = bars_of([("A", 0)])
    write.publish_minute_bars(disk, DAY, rows)

    later = rows.with_columns(observed_at=pl.lit(at("20:00"), bar.TIMESTAMP_US))

    assert not write.publish_minute_bars(disk, DAY, later).written


def test_added_and_changed_bars_and_their_revisions_are_counted(store: ObjectStore) -> None:
    write.publish_minute_bars(store, DAY, bars(2, range(3), "live", at=timedelta()))

    second = bars(2, range(2, 5), "rest", at=timedelta(hours=1))
    published = write.publish_minute_bars(store, DAY, second)

    assert (published.rows, published.added, published.changed) == (10, 4, 2)
    assert published.revisions == {"rest": 6, "live": 4}
    assert published.uri.endswith("minute_bars/session=2026-11-19/data.parquet")


def test_a_worse_revision_never_comes_back(disk: ObjectStore) -> None:
    final = bars(2, range(5), "final", at=timedelta(hours=1))
    write.publish_minute_bars(disk, DAY, final)

    published = write.publish_minute_bars(
        disk, DAY, bars(2, range(5), "live", at=timedelta(days=9))
    )

    assert (published.written, published.revisions) == (False, {"final": 10})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES, FRAMES)
def test_any_order_of_publications_leaves_the_same_bars(
    tmp_path_factory: pytest.TempPathFactory, one: pl.DataFrame, other: pl.DataFrame
) -> None:
    from stock_platform.lake.object_store.filesystem import FileStore

    forth = FileStore.open(tmp_path_factory.mktemp("forth"))
    back = FileStore.open(tmp_path_factory.mktemp("back"))
    for frame in (one, other, one):
        write.publish_minute_bars(forth, DAY, frame)
    for frame in (other, one):
        write.publish_minute_bars(back, DAY, frame)

    said = pl.exclude("observed_at")
    assert (
        read.minute_bars(forth, DAY).select(said).equals(read.minute_bars(back, DAY).select(said))
    )


def test_nothing_to_publish_makes_no_object(disk: ObjectStore) -> None:
    published = write.publish_minute_bars(disk, DAY, bars_of([]))

    assert (published.rows, published.written, version(disk)) == (0, False, None)


def test_a_row_of_another_session_is_refused_by_name(disk: ObjectStore) -> None:
    with pytest.raises(PermanentError, match=r"1 rows do not belong to session 2026-11-20.*'A'"):
        write.publish_minute_bars(disk, date(2026, 11, 20), bars_of([("A", 0)]))

    assert version(disk) is None


def test_after_hours_of_new_york_belong_to_the_session_though_utc_is_a_day_ahead(
    disk: ObjectStore,
) -> None:
    late = bars_of([("A", 0)]).with_columns(
        minute=pl.lit(at("00:59", date(2026, 11, 20)), bar.TIMESTAMP_US)
    )

    assert write.publish_minute_bars(disk, DAY, late).rows == 1


@pytest.mark.parametrize("session", [date(2026, 3, 6), date(2026, 3, 9), date(2026, 10, 30)])
def test_both_sides_of_a_clock_change_keep_their_sessions(disk: ObjectStore, session: date) -> None:
    from stock_platform_tests.domain.examples import EXTENDED

    grid = EXTENDED.grid(session)
    rows = bars_of([("A", 0), ("A", 959)], grid)

    write.publish_minute_bars(disk, session, rows)

    assert read.minute_bars(disk, session)["minute"].to_list() == [grid.minute(0), grid.minute(959)]


def test_missing_and_wrong_columns_are_refused_by_name(disk: ObjectStore) -> None:
    wrong = bars_of([("A", 0)]).drop("vwap").cast({"volume": pl.Float64})

    with pytest.raises(
        PermanentError, match=r"vwap is absent.*; volume is Float64, expected Decimal"
    ):
        write.publish_minute_bars(disk, DAY, wrong)


def test_symbols_that_look_like_nothing_survive(store: ObjectStore) -> None:
    symbols = ["BCPA", "BCpA", "BF/B", "BRK.B", "NA", "NAN", "NULL", "None", "TRUE"]
    write.publish_minute_bars(store, DAY, bars_of([(symbol, 0) for symbol in symbols]))

    assert read.minute_bars(store, DAY)["symbol"].to_list() == sorted(symbols)


def test_an_object_of_a_newer_release_is_refused(disk: ObjectStore) -> None:
    newer = parquet.encode("minute_bars", bars_of([("A", 0)]), **{"stocks.schema_version": "2"})
    disk.put_if_absent(PATH, newer)

    with pytest.raises(PermanentError, match="schema version 2, this release reads up to 1"):
        read.minute_bars(disk, DAY)


def test_a_foreign_file_in_a_tables_place_is_refused(disk: ObjectStore) -> None:
    from io import BytesIO

    out = BytesIO()
    bars_of([("A", 0)]).write_parquet(out)
    disk.put_if_absent(PATH, out.getvalue())

    with pytest.raises(PermanentError, match="was not written by this platform"):
        write.publish_minute_bars(disk, DAY, bars_of([("B", 0)]))


def test_objects_are_cut_into_row_groups_and_compressed(disk: ObjectStore) -> None:
    import pyarrow.parquet as pq

    rows = bars(100, range(390), "final", at=timedelta())
    write.publish_minute_bars(disk, DAY, rows)

    meta = pq.ParquetFile(disk.uri(PATH)).metadata
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [32_768, 6_232]
    assert meta.row_group(0).column(0).compression == "ZSTD"
