"""Live parts never change, and compaction takes only what it merged."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.lake import parquet, read, stream_parts, tables
from stock_platform.lake import write as publish
from stock_platform.lake.object_store import ObjectStore, Version
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.stream_parts import compact
from stock_platform_tests.domain.examples import DAY, at, bars_of
from stock_platform_tests.lake.workers import bars


def minute(slot: int, revision: str = "live", **when: int) -> pl.DataFrame:
    return bars(3, range(slot, slot + 1), revision, at=timedelta(**when))


def write(store: ObjectStore, label: str, rows: pl.DataFrame) -> str:
    return stream_parts.write_live_minute(store, DAY, label, "sidecar-1", rows)


def connection(alive_until: str, disconnected_at: str | None = None) -> pl.DataFrame:
    ended = at(disconnected_at) if disconnected_at else None
    row = ("sidecar", "c1", "AM", at("14:30"), at(alive_until), ended)
    return pl.DataFrame([row], schema=CONNECTIONS, orient="row")


def test_a_live_minute_is_seen_before_it_is_compacted(store: ObjectStore) -> None:
    uri = write(store, "0930", minute(0))

    assert uri.endswith("minute_bars_live/session=2026-11-19/0930-sidecar-1.parquet")
    assert read.minute_bars(store, DAY).equals(minute(0))
    assert read.minute_bars(store, DAY, ["symbol", "close"]).columns == ["symbol", "close"]


def test_the_same_minute_again_is_the_same_part(store: ObjectStore) -> None:
    first = write(store, "0930", minute(0))
    second = write(store, "0930", minute(0))

    assert first == second
    assert len(stream_parts.live_parts(store, DAY)) == 1


def test_other_bars_under_a_used_label_become_a_part_of_their_own(store: ObjectStore) -> None:
    write(store, "0930", minute(0))
    resent = minute(0, seconds=5).with_columns(volume=pl.lit(7).cast(MINUTE_BARS["volume"]))

    write(store, "0930", resent)

    assert len(stream_parts.live_parts(store, DAY)) == 2
    assert read.minute_bars(store, DAY).equals(resent)


def test_the_best_revision_of_base_and_parts_is_read(store: ObjectStore) -> None:
    publish.publish_minute_bars(store, DAY, minute(0, "rest", hours=1))
    write(store, "0930", minute(0, days=1))
    write(store, "0931", minute(1))

    assert read.minute_bars(store, DAY)["revision"].to_list() == ["rest", "live"] * 3


def test_compaction_moves_the_parts_into_the_base(store: ObjectStore) -> None:
    write(store, "0930", minute(0))
    write(store, "0931", minute(1))
    before = read.minute_bars(store, DAY)

    published = compact(store, DAY)

    assert (published.rows, published.added) == (6, 6)
    assert stream_parts.live_parts(store, DAY) == []
    assert read.minute_bars(store, DAY).equals(before)


def test_compacting_again_changes_nothing(store: ObjectStore) -> None:
    write(store, "0930", minute(0))
    compact(store, DAY)

    assert not compact(store, DAY).written


def test_a_part_replayed_after_its_compaction_changes_nothing(store: ObjectStore) -> None:
    write(store, "0930", minute(0))
    compact(store, DAY)

    write(store, "0930", minute(0))

    assert not compact(store, DAY).written
    assert stream_parts.live_parts(store, DAY) == []


def test_compacting_a_session_of_nothing_makes_nothing(store: ObjectStore) -> None:
    assert not compact(store, DAY).written
    assert store.list("") == []


def test_bars_of_another_session_are_refused(disk: ObjectStore) -> None:
    with pytest.raises(PermanentError, match="do not belong to session"):
        stream_parts.write_live_minute(disk, date(2026, 11, 20), "0930", "sidecar", minute(0))


@pytest.mark.parametrize(("label", "writer"), [("930", "w"), ("2460", "w"), ("0930", "../w")])
def test_a_label_or_writer_that_is_none_is_refused(
    disk: ObjectStore, label: str, writer: str
) -> None:
    with pytest.raises(InvalidDataError):
        stream_parts.write_live_minute(disk, DAY, label, writer, minute(0))


def test_connections_of_every_writer_are_read(store: ObjectStore) -> None:
    stream_parts.write_connections(store, DAY, "one", connection("14:40"))
    stream_parts.write_connections(
        store, DAY, "two", connection("14:50").with_columns(writer=pl.lit("two"))
    )

    assert stream_parts.read_connections(store, DAY)["alive_until"].to_list() == [
        at("14:40"),
        at("14:50"),
    ]


def test_a_connection_lives_on_and_never_shrinks(store: ObjectStore) -> None:
    stream_parts.write_connections(store, DAY, "one", connection("14:50"))
    stream_parts.write_connections(store, DAY, "one", connection("15:00", "15:01"))

    stream_parts.write_connections(store, DAY, "one", connection("14:40"))

    assert stream_parts.read_connections(store, DAY).equals(connection("15:00", "15:01"))


def test_a_session_without_a_log_has_no_connections(disk: ObjectStore) -> None:
    assert stream_parts.read_connections(disk, DAY).equals(pl.DataFrame(schema=CONNECTIONS))


class Overtaken(FileStore):
    """Once the base is replaced, another compaction and the sidecar were quicker."""

    def put_if_match(self, path: str, data: bytes, expected: Version | None) -> Version:
        version = super().put_if_match(path, data, expected)
        if path.startswith("minute_bars/"):
            self.delete([part.path for part in stream_parts.live_parts(self, DAY)])
            write(self, "0930", minute(1))
        return version


def test_a_part_that_changed_hands_while_it_was_merged_is_left(tmp_path: Path) -> None:
    store = Overtaken.open(tmp_path)
    write(store, "0930", minute(0))

    compact(Overtaken(store.folder), DAY)

    assert len(stream_parts.live_parts(store, DAY)) == 1
    assert read.minute_bars(store, DAY).height == 6


def test_a_part_of_an_earlier_release_is_read_beside_one_of_this(store: ObjectStore) -> None:
    names = pl.Enum(["live", "rest", "final", "correction"])
    old = bars_of([("A", 0)]).with_columns(pl.col("revision").cast(pl.String).cast(names))
    store.put_if_absent(
        tables.live_part(DAY, "0930", "old"), parquet.encode("minute_bars_live", old)
    )
    stream_parts.write_live_minute(store, DAY, "0931", "new", bars_of([("A", 1)]))

    assert read.minute_bars(store, DAY).equals(bars_of([("A", 0), ("A", 1)]))
