"""A query reads the tables it names, as they were, and is never kept waiting by writers."""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.lake import stream_parts, write
from stock_platform.lake.object_store import ObjectMeta, ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql import query as query_module
from stock_platform.lake.sql import snapshot
from stock_platform.lake.sql.query import query
from stock_platform.lake.sql.snapshot import Snapshot
from stock_platform.lake.stream_parts import compact
from stock_platform_tests.domain.examples import DAY, bars_of
from stock_platform_tests.lake.workers import bars

OPENED = datetime(2026, 11, 19, 14, 30, tzinfo=UTC)
SLOW = (
    "SELECT (SELECT count(*) FROM {table}) AS n FROM range(9000) a, range(9000) b "
    "WHERE hash(a.range * b.range) % 999999 = 1 LIMIT 1"
)


class Counting:
    """A store that counts its listings."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self.listed: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def list(self, prefix: str) -> object:
        self.listed.append(prefix)
        return self._store.list(prefix)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path / "lake")


def publish_day(store: ObjectStore, close: float) -> None:
    rows = bars_of([("A", 0)]).drop("minute")
    rows = rows.with_columns(
        session=pl.lit(DAY),
        observed_at=pl.lit(datetime.now(UTC)),
        **{name: pl.lit(close) for name in ("open", "high", "low", "close")},
    )
    write.publish_daily_bars(store, rows.select(list(DAILY_BARS)).cast(DAILY_BARS))


def connections(until: datetime) -> pl.DataFrame:
    row = {"writer": "w", "connection": "c", "channel": "AM", "connected_at": OPENED}
    return pl.DataFrame([row | {"alive_until": until}], schema=CONNECTIONS)


@contextmanager
def repeating(step: object, pause_s: float = 0.02) -> Generator[None]:
    """Call `step` again and again in a thread."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(pause_s):
            step()  # type: ignore[operator]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_table_that_is_not_named_keeps_no_query_waiting(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stock_platform.lake.sql.query.SWAPS_MAX", 1)
    publish_day(store, 1.0)
    times = iter(range(1, 1_000_000))

    def renew() -> None:
        until = OPENED + timedelta(seconds=next(times))
        stream_parts.write_connections(store, DAY, "w", connections(until))

    with repeating(renew):
        answer = query(store, SLOW.format(table="daily_bars"))

    assert answer["n"].to_list() == [1]


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "no links"])
def test_a_table_that_is_replaced_all_the_time_is_read(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, *, linked: bool
) -> None:
    """Also an object that was old when the query began, and where no link can be made."""
    if not linked:
        monkeypatch.setattr(os, "link", _refuse)
    publish_day(store, 1.0)
    os.utime(store.folder / "daily_bars/year=2026/data.parquet", (1, 1))
    closes = iter(range(2, 1_000_000))

    with repeating(lambda: publish_day(store, float(next(closes)))):
        answer = query(store, SLOW.format(table="daily_bars"))

    assert answer["n"].to_list() == [1]
    assert not list(store.folder.glob(".snapshots/*"))


def _refuse(*_: object) -> None:
    raise OSError(30, "Read-only file system")


def test_parts_that_are_compacted_meanwhile_are_seen_once(store: FileStore) -> None:
    """Every bar is there in every answer, whether its part was deleted or not."""
    minutes = iter(range(390))
    seen: list[int] = []

    def stream_and_compact() -> None:
        minute = next(minutes)
        label = (OPENED + timedelta(minutes=minute)).strftime("%H%M")
        stream_parts.write_live_minute(
            store, DAY, label, "w", bars(3, range(minute, minute + 1), "live", at=timedelta(days=1))
        )
        if minute % 3 == 2:
            compact(store, DAY)

    stream_and_compact()
    with repeating(stream_and_compact):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            answer = query(
                store, "SELECT count(*) AS n, count(DISTINCT minute) AS m FROM minute_bars"
            )
            assert answer["n"][0] == 3 * answer["m"][0]
            seen.append(answer["m"][0])

    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


@pytest.mark.parametrize("has_base", [True, False], ids=["base", "no base"])
def test_parts_that_are_compacted_between_the_listings_are_not_lost(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, *, has_base: bool
) -> None:
    if has_base:
        write.publish_minute_bars(store, DAY, bars(3, range(2), "rest", at=timedelta()))
    live = bars(3, range(2, 3), "live", at=timedelta(days=1))
    stream_parts.write_live_minute(store, DAY, "0932", "w", live)
    listing = FileStore.list
    listed: list[str] = []

    def list_then_compact(self: FileStore, prefix: str) -> list[ObjectMeta]:
        found = listing(self, prefix)
        if prefix in {"minute_bars", "minute_bars_live"} and not listed:
            listed.append(prefix)
            compact(store, DAY)
        return found

    monkeypatch.setattr(FileStore, "list", list_then_compact)

    answer = query(store, "SELECT count(*) AS n FROM minute_bars")

    assert answer["n"].to_list() == [9 if has_base else 3]


def test_a_query_whose_object_was_replaced_meanwhile_is_run_again(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that was old when the query began is read at its own place."""
    publish_day(store, 1.0)
    os.utime(store.folder / "daily_bars/year=2026/data.parquet", (1, 1))
    run = query_module._run
    runs: list[Snapshot] = []

    def run_and_replace(objects: Snapshot, *args: Any, **options: Any) -> pl.DataFrame:
        runs.append(objects)
        rows = run(objects, *args, **options)
        if len(runs) == 1:
            publish_day(store, 2.0)
        return rows

    monkeypatch.setattr(query_module, "_run", run_and_replace)

    answer = query(store, "SELECT close FROM daily_bars")

    assert answer["close"].to_list() == [2]
    assert [len(objects.linked) for objects in runs] == [0, 1]


def test_only_the_tables_in_the_text_are_listed(store: FileStore) -> None:
    write.publish_minute_bars(store, DAY, bars_of([("A", 0)]))
    publish_day(store, 1.0)
    counting = Counting(store)

    query(counting, "SELECT 1")  # type: ignore[arg-type]
    nothing = list(counting.listed)
    query(counting, "SELECT count(*) FROM daily_bars_adjusted")  # type: ignore[arg-type]

    assert nothing == []
    assert set(counting.listed) == {"daily_bars", "dividends", "splits"}


@pytest.mark.parametrize(
    "sql",
    [
        "FROM query_table('minute' || '_bars')",
        "FROM query('FROM minute' || '_bars')",
        "SELECT * FROM MINUTE_BARS",
        'SELECT * FROM "Minute_Bars"',
        "WITH x AS (FROM minute_bars) FROM x -- a trailing comment",
        "SELECT symbol FROM minute_bars_adjusted",
    ],
)
def test_a_table_is_found_however_it_is_named(store: FileStore, sql: str) -> None:
    write.publish_minute_bars(store, DAY, bars_of([("A", 0)]))

    assert query(store, sql).height == 1


def test_links_that_a_killed_query_left_are_removed_a_day_later(store: FileStore) -> None:
    publish_day(store, 1.0)
    for name, age_s in (("left", snapshot.STALE_AFTER_S + 60), ("working", 60)):
        folder = store.folder / ".snapshots" / name
        folder.mkdir(parents=True)
        then = time.time() - age_s
        os.utime(folder, (then, then))

    query(store, "FROM daily_bars")

    assert [path.name for path in store.folder.glob(".snapshots/*")] == ["working"]


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "it's",
        "äß",
        "lake [prod]",
        "lake{a,b}",
        "what?",
        "50%",
        "star*",
        "a;b",
        "new\\back",
        '"quoted"',
        "[!x]",
    ],
)
def test_a_lake_is_read_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    # Neighbours that a pattern would match as well.
    for folder in ("lake p", "lakea", "star", "starfish", "whats", "x"):
        publish_day(FileStore.open(tmp_path / folder), 2.0)
    store = FileStore.open(tmp_path / name)
    publish_day(store, 1.0)
    write.publish_minute_bars(store, DAY, bars_of([("A", 0), ("B", 1)]))

    assert query(store, "SELECT count(*) AS n FROM minute_bars")["n"].to_list() == [2]
    assert query(store, "SELECT close FROM daily_bars")["close"].to_list() == [1]
