"""Archived NDJSON back through the consumers, and outages healed from REST."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError
from stock_platform.settings import Settings
from stock_platform.simulator.server import running
from stock_platform.stream.events import decode
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.backfill import Backfill, BackfillOptions, open_http, span_ms
from stock_platform.stream.feed.gaps import FeedOutage
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.archive.sink import ArchiveSink
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform.stream.sinks.replay import replay
from stock_platform_tests.stream.servers import Bucket, Redis
from stock_platform_tests.stream.sidecar import all_settings, settings_for
from stock_platform_tests.stream.test_archive import NOON, options, run_to_end, trade


@pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.zst"])
def test_a_prefix_of_the_archive_gives_the_same_values_again(
    suffix: str,
    journal: JournalWriter,
    folder: Path,
    tmp_path: Path,
    s3: Bucket,
    redis: Redis,
    store: ArchiveStore,
) -> None:
    for number in range(100):
        frame = trade(number).replace(b'"q":', b'"p":%d.25,"q":' % number)
        journal.append_frames(1, 1, [frame], NOON + number)
    naming = Naming("cold", "host1", 30, suffix)
    run_to_end(
        ArchiveSink(options(folder, s3, zstd=suffix.endswith("zst"), naming=naming), store), folder
    )
    settings = all_settings(
        settings_for(tmp_path / "other", "ws://x", "ws://y", redis.url, s3_endpoint_url=s3.url)
    )

    done = replay(f"s3://{s3.name}/cold/", settings)

    prices = {n: json.loads(redis.client.get(f"stock:trade:S{n}"))["price"] for n in range(50)}
    assert (done.objects, done.events) == (1, 100)
    assert prices == {n: 50 + n + 0.25 for n in range(50)}


def test_a_place_without_objects_is_told(tmp_path: Path, redis: Redis) -> None:
    settings = all_settings(settings_for(tmp_path / "journal", "ws://x", "ws://y", redis.url))

    with pytest.raises(PermanentError, match="no object ending in"):
        replay(str(tmp_path), settings)


def test_the_span_of_a_delayed_feed_is_in_its_own_time() -> None:
    gap = FeedOutage("delayed", ["T"], 1_000_000, 1_060_000, "x", 100_000, 160_000)

    assert span_ms(gap) == (99_000, 161_000)


SCRIPT = {"market": {"synthetic": {"symbols": 3, "first": "2026-11-18", "last": "2026-11-18"}}}


def test_an_outage_of_trades_and_quotes_is_healed_into_backfill_objects(
    tmp_path: Path, s3: Bucket, store: ArchiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    lost = int(datetime(2026, 11, 18, 15, 0, tzinfo=UTC).timestamp() * 1000)
    heard = lost + 900_000
    gaps.record(
        folder, FeedOutage("delayed", ["T", "Q"], heard, heard + 120_000, "x", lost, lost + 120_000)
    )
    with running(SCRIPT) as simulator:
        backfill, close = _backfill(folder, s3, store, simulator.environment(), monkeypatch)
        backfill.work()
        backfill.work()
        close()

    names = s3.names()
    trades = [json.loads(line) for line in s3.lines("cold/channel=T")]
    quotes = s3.lines("cold/channel=Q")
    assert backfill.healed == 1
    # Received at 15:15, as a feed delayed by 15 minutes would have brought it.
    assert [name.split("/")[2:] for name in names] == [
        [
            "ingest_dt=2026",
            "11",
            "18",
            "hour=15",
            "backfill=20261118_145959-20261118_150201",
            "host1-seq=000001.ndjson",
        ]
    ] * 2
    assert {type(event[name]) for event in trades for name in ("p", "s", "t")} <= {int, float}
    assert {type(event["bp"]) for event in map(json.loads, quotes)} <= {int, float}
    assert {type(event).__name__ for event in decode(b"[" + b",".join(quotes) + b"]").events} == {
        "Quote"
    }
    assert {trade["sym"] for trade in trades} <= {"GOOG", "MSFT", "NVDA"}
    assert all(lost - 1000 <= trade["t"] <= lost + 121_000 for trade in trades)
    assert len(trades) > 0


def test_a_plan_without_history_is_recorded_and_does_not_block_later_gaps(
    tmp_path: Path, s3: Bucket, store: ArchiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    gaps.record(
        folder, FeedOutage("delayed", ["T"], 1, 2, "x", 1_795_000_000_000, 1_795_000_001_000)
    )
    denied = {**SCRIPT, "plan": {"denied": [{"path": "/v3/trades"}]}}
    with running(denied) as simulator:
        backfill, close = _backfill(folder, s3, store, simulator.environment(), monkeypatch)
        backfill.work()
        close()

    assert (backfill.healed, backfill.refused) == (0, 1)
    assert s3.names() == []


def test_a_gap_too_large_for_one_object_is_refused_and_leaves_nothing(
    tmp_path: Path, s3: Bucket, store: ArchiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    lost = int(datetime(2026, 11, 18, 15, 0, tzinfo=UTC).timestamp() * 1000)
    gaps.record(
        folder, FeedOutage("delayed", ["T"], lost, lost + 120_000, "x", lost, lost + 120_000)
    )
    monkeypatch.setattr("stock_platform.stream.feed.backfill.OBJECT_BYTES_MAX", 1000)
    with running(SCRIPT) as simulator:
        backfill, close = _backfill(folder, s3, store, simulator.environment(), monkeypatch)
        backfill.work()
        close()

    assert (backfill.healed, backfill.refused) == (0, 1)
    assert s3.names() == []


def test_a_torn_line_of_the_manifest_costs_only_its_own_gap(tmp_path: Path) -> None:
    first, second = (FeedOutage("delayed", ["T"], at, at + 1, "x") for at in (1, 5))
    gaps.record(tmp_path, first)
    with (tmp_path / gaps.FILE).open("ab") as file:
        file.write(b'{"feed":"del\n')
    gaps.record(tmp_path, second)

    assert gaps.read(tmp_path) == [first, gaps.UNREADABLE, second]
    assert gaps.read(tmp_path, 2) == [second]


def _backfill(
    folder: Path,
    s3: Bucket,
    store: ArchiveStore,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Backfill, Callable[[], None]]:
    for name, value in {**environment, "STOCKS_LAKE": str(folder / "lake")}.items():
        monkeypatch.setenv(name, value)
    (folder / "lake").mkdir()
    options = BackfillOptions(
        journal=folder,
        store=StoreOptions(s3.name, "us-east-1", s3.url),
        naming=Naming("cold", "host1", 30),
        providers=Settings.from_env(),
        symbols=("GOOG", "MSFT", "NVDA"),
    )
    http, close = open_http(options.providers)

    def close_all() -> None:
        http.close()
        close()

    return Backfill(options=options, http=http, store=store), close_all
