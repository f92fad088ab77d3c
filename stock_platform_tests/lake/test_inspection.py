"""One object inspected: every flipped bit, torn end, wrong place and impossible row is named."""

import hashlib
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import CONNECTIONS, SessionCoverage
from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.errors import PermanentError
from stock_platform.lake import append_log, coverage, parquet, stream_parts, tables, write
from stock_platform.lake.checksums import rows_digest
from stock_platform.lake.inspection import inspect_object
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.stream_parts import compact
from stock_platform_tests.domain.examples import DAY, GRID, bars_of
from stock_platform_tests.healing.responses import response

KEY = ["symbol", "minute"]
NEXT_DAY = date(2026, 11, 20)
CELLS = [(symbol, slot) for symbol in ("A", "B") for slot in range(20)]
BARS = bars_of(CELLS)
SEEN = datetime(2026, 11, 19, 22, tzinfo=UTC)


def write_everything(store: ObjectStore) -> list[str]:
    """Write an object of every way there is to write one; return their paths."""
    write.publish_minute_bars(store, DAY, BARS)
    daily = BARS.unique("symbol").with_columns(session=pl.lit(DAY)).drop("minute")
    write.publish_daily_bars(store, daily.select("symbol", "session", *daily.columns[1:-1]))
    split = pl.DataFrame([("A", DAY, 1.0, 4.0, "m", SEEN)], schema=SPLITS, orient="row")
    write.publish_table(store, "splits", None, split, key=SPLITS_KEY)
    stream_parts.write_live_minute(store, DAY, "0931", "sidecar", BARS.head(2))
    connection = [("w", "c", "AM", SEEN, SEEN + timedelta(hours=1), None)]
    rows = pl.DataFrame(connection, schema=CONNECTIONS, orient="row")
    stream_parts.write_connections(store, DAY, "w", rows)
    answer = response(bars=CELLS[:3], broken=[("A", 7)])
    append_log.record_responses(store, DAY, [answer])
    append_log.record_rejected(store, answer.rejected)
    coverage.update(store, GRID, lambda _: SessionCoverage.blank(GRID, ["A", "B"]))
    values = BARS.select(*KEY, pl.col("close").cast(pl.Float64).alias("ema_20"))
    write.publish_table(store, "indicators_minute", DAY, values, key=KEY)
    return [entry.path for entry in store.list("")]


def bytes_of(store: ObjectStore, path: str) -> bytes:
    found = store.get(path)
    assert found is not None
    return found[0]


def defects_of(path: str, data: bytes) -> list[str]:
    return [defect.kind for defect in inspect_object(path, data).defects]


@pytest.fixture
def written(tmp_path: Path) -> dict[str, bytes]:
    store = FileStore.open(tmp_path)
    return {path: bytes_of(store, path) for path in write_everything(store)}


def test_what_the_platform_writes_is_sound_and_has_a_checksum(store: ObjectStore) -> None:
    found = [inspect_object(path, bytes_of(store, path)) for path in write_everything(store)]

    assert {item.path.partition("/")[0] for item in found} >= {"answers", "coverage", "quarantine"}
    assert [item for item in found if item.defects or not item.has_checksum] == []


def test_a_flipped_bit_is_found_wherever_it_is(written: dict[str, bytes]) -> None:
    unnoticed = [
        (path, at)
        for path, data in written.items()
        for at in range(len(data))
        if not defects_of(path, flipped(data, at, 1 << (at % 8)))
    ]

    assert unnoticed == []


def test_a_torn_object_is_found_wherever_it_ends(written: dict[str, bytes]) -> None:
    unnoticed = [
        (path, size)
        for path, data in written.items()
        for size in [*range(0, len(data), 97), len(data) - 1]
        if not defects_of(path, data[:size])
    ]

    assert unnoticed == []


def test_zeroed_and_swapped_pages_are_found(written: dict[str, bytes]) -> None:
    data = written[tables.data("minute_bars", DAY)]
    zeroed = data[:500] + bytes(400) + data[900:]
    swapped = data[:500] + data[700:900] + data[500:700] + data[900:]

    path = tables.data("minute_bars", DAY)
    assert [defects_of(path, zeroed), defects_of(path, swapped)] == [["damaged"], ["damaged"]]


def flipped(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def test_an_object_of_another_session_or_table_is_misplaced(written: dict[str, bytes]) -> None:
    moved = {
        path: path.replace(str(DAY), str(NEXT_DAY))
        for path in written
        if "session=" in path or "on=" in path
    }
    found = {path: defects_of(to, written[path]) for path, to in moved.items()}
    bars, live = tables.data("minute_bars", DAY), next(p for p in written if "_live/" in p)

    assert set(map(tuple, found.values())) == {("misplaced",)}
    assert defects_of(bars, written[live]) == ["misplaced"]
    assert defects_of(
        tables.data("daily_bars", 2025), written[tables.data("daily_bars", 2026)]
    ) == ["misplaced"]


@pytest.mark.parametrize(
    "path",
    [
        f"minute_bars/session={DAY}/notes.txt",
        f"minute_bars/session={DAY}/data.parquet.bak",
        f"minute_bars/session={DAY}/copy/data.parquet",
        "minute_bars/session=2026-13-45/data.parquet",
        "minute_bars/year=2026/data.parquet",
        "minute_bars/data.parquet",
        f"answers/session={DAY}/readme.md",
        "splits/session=2026-11-19/data.parquet",
    ],
)
def test_a_file_that_no_writer_gives_such_a_name_is_foreign(path: str) -> None:
    assert defects_of(path, encoded(BARS)) == ["foreign"]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"hello" * 100, b"PAR1" + bytes(90) + b"PAR1"])
def test_bytes_that_are_not_parquet_are_unreadable(data: bytes) -> None:
    assert defects_of(tables.data("minute_bars", DAY), data) == ["unreadable"]


def encoded(rows: pl.DataFrame, table: str = "minute_bars") -> bytes:
    return parquet.encode(table, rows)


def plain(rows: pl.DataFrame) -> bytes:
    """Return what a release without checksums wrote."""
    out = BytesIO()
    notes = {"stocks.schema_version": "1", "stocks.table": "minute_bars"}
    rows.write_parquet(out, metadata=notes)
    return out.getvalue()


def written_elsewhere(rows: pl.DataFrame) -> bytes:
    out = BytesIO()
    rows.write_parquet(out)
    return out.getvalue()


def changed(**columns: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.with_columns(**columns).cast(rows.schema)


FIRST = pl.int_range(pl.len()) == 0


@pytest.mark.parametrize("encode", [encoded, plain])
@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda rows: rows, []),
        (lambda rows: rows.reverse(), ["rows"]),
        (lambda rows: pl.concat([rows, rows.tail(1)]), ["rows", "rows"]),
        (changed(high=pl.when(FIRST).then(1).otherwise("high")), ["values"]),
        (changed(close=pl.when(FIRST).then(-1).otherwise("close")), ["values"]),
        (changed(volume=pl.when(FIRST).then(None).otherwise("volume")), ["values"]),
        (changed(minute=pl.col("minute") + pl.duration(seconds=7)), ["values"]),
        (changed(minute=pl.col("minute") + pl.duration(days=1)), ["misplaced"]),
        (changed(symbol=pl.lit("../x")), ["rows", "rows", "values"]),
        (lambda rows: rows.drop("vwap"), ["schema"]),
        (lambda rows: rows.with_columns(pl.col("close").cast(pl.Float64)), ["schema"]),
        (lambda rows: rows.with_columns(extra=1), ["schema"]),
    ],
)
def test_rows_that_the_table_does_not_allow_are_named(
    encode: Callable[[pl.DataFrame], bytes],
    change: Callable[[pl.DataFrame], pl.DataFrame],
    kinds: list[str],
) -> None:
    assert defects_of(tables.data("minute_bars", DAY), encode(change(BARS))) == kinds


def test_an_object_of_an_earlier_release_is_sound_and_counted() -> None:
    found = inspect_object(tables.data("minute_bars", DAY), plain(BARS))

    assert (found.defects, found.has_checksum) == ((), False)


def test_parquet_of_another_program_is_named() -> None:
    [defect] = inspect_object(tables.data("minute_bars", DAY), written_elsewhere(BARS)).defects

    assert defect.kind == "unreadable"
    assert "was not written by this platform" in defect.detail


def test_nothing_is_merged_into_a_damaged_object(store: ObjectStore) -> None:
    write.publish_minute_bars(store, DAY, BARS)
    path = tables.data("minute_bars", DAY)
    damage(store, path)

    with pytest.raises(PermanentError, match=f"{path} is damaged"):
        write.publish_minute_bars(store, DAY, bars_of([("C", 0)]))


def test_damaged_parts_are_not_compacted(store: ObjectStore) -> None:
    write_everything(store)
    damage(store, next(e.path for e in store.list(f"minute_bars_live/session={DAY}")))
    append_log.record_responses(store, DAY, [response(("B",))])
    damage(store, next(e.path for e in store.list(f"answers/session={DAY}")))

    with pytest.raises(PermanentError, match="is damaged"):
        compact(store, DAY)
    with pytest.raises(PermanentError, match="is damaged"):
        append_log.compact_responses(store, DAY)


def damage(store: ObjectStore, path: str) -> None:
    found = store.get(path)
    assert found is not None
    data, version = found
    store.put_if_match(path, flipped(data, len(data) // 3, 4), version)


def test_a_repeated_publication_has_the_checksum_of_the_first(store: ObjectStore) -> None:
    first = write.publish_minute_bars(store, DAY, BARS)
    again = write.publish_minute_bars(store, DAY, BARS)

    assert (again.written, again.sha256) == (False, first.sha256)
    assert write.publish_minute_bars(store, DAY, bars_of([("C", 0)])).sha256 != first.sha256


def test_the_digest_of_rows_depends_on_rows_alone(tmp_path: Path) -> None:
    BARS.write_parquet(tmp_path / "other", compression="snappy", row_group_size=7)
    parts = [BARS.head(11), BARS.tail(29)]
    known = rows_digest(BARS, KEY)

    assert rows_digest(pl.read_parquet(tmp_path / "other"), KEY) == known
    assert rows_digest(pl.concat(parts, rechunk=False), KEY) == known
    assert rows_digest(BARS.reverse(), KEY) == known
    assert rows_digest(BARS.select(sorted(BARS.columns)), KEY) == known
    assert rows_digest(BARS.with_columns(later=pl.lit(None, pl.String)), KEY) == known


def test_the_digest_of_rows_is_that_of_its_definition() -> None:
    rows = pl.DataFrame(
        {
            "symbol": ["A", "BB"],
            "bits": [b"\x00", None],
            "n": [1, None],
            "x": [0.5, -1.0],
            "on": [DAY, DAY],
            "price": pl.Series(["1.5", "2"]).cast(pl.Decimal(18, 6)),
            "at": pl.Series([SEEN, SEEN]).cast(pl.Datetime("us", "UTC")),
            "absent": pl.Series([None, None], dtype=pl.String),
        }
    )
    microseconds = int(SEEN.timestamp()) * 1_000_000
    days = (DAY - date(1970, 1, 1)).days
    # Name and kind; one bit a row, set for null; the lengths of texts; the values.
    columns = [
        b"at instant\n" + b"\x00" + struct.pack("<qq", microseconds, microseconds),
        b"bits bytes\n" + b"\x40" + struct.pack("<qq", 1, 0) + b"\x00",
        b"n integer\n" + b"\x40" + struct.pack("<qq", 1, 0),
        b"on integer\n" + b"\x00" + struct.pack("<qq", days, days),
        b"price decimal 6\n" + b"\x00" + struct.pack("<qq", 1_500_000, 2_000_000),
        b"symbol text\n" + b"\x00" + struct.pack("<qq", 1, 2) + b"ABB",
        b"x float\n" + b"\x00" + struct.pack("<dd", 0.5, -1.0),
    ]
    known = b"2 rows\n" + b"".join(hashlib.sha256(column).digest() for column in columns)

    assert rows_digest(rows, ["symbol"]) == hashlib.sha256(known).hexdigest()


@given(
    row=st.integers(0, BARS.height - 1),
    name=st.sampled_from([n for n in MINUTE_BARS if n not in KEY]),
    null=st.booleans(),
)
def test_any_changed_cell_changes_the_digest(row: int, name: str, *, null: bool) -> None:
    other = {
        "provider": pl.lit("other"),
        "revision": pl.lit("correction"),
        "observed_at": pl.col("observed_at") + pl.duration(microseconds=1),
    }.get(name, pl.col(name) + 1)
    value = pl.lit(None) if null else other
    at = pl.int_range(pl.len()) == row
    after = BARS.with_columns(pl.when(at).then(value).otherwise(name).alias(name)).cast(MINUTE_BARS)

    assert rows_digest(after, KEY) != rows_digest(BARS, KEY)


@given(row=st.integers(0, BARS.height - 1))
def test_a_row_more_or_less_changes_the_digest(row: int) -> None:
    less = pl.concat([BARS[:row], BARS[row + 1 :]])

    assert rows_digest(less, KEY) != rows_digest(BARS, KEY)
