"""A journal left by a killed sidecar of before is delivered to the end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from stock_platform.simulator.server import running
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.sinks.archive.state import ArchiveState
from stock_platform_tests.golden.facts import FACTS, GOLDEN
from stock_platform_tests.stream.servers import Bucket, Redis, bucket, redis_server, s3_server


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Delivered"]:
    """A new sidecar over the journal of before: what it brings to stores that are empty."""
    folder = tmp_path_factory.mktemp("sidecar")
    shutil.copytree(GOLDEN / "journal", folder / "journal")
    (folder / "redis").mkdir()
    quiet = {"feed": {"start": "told"}, "market": {"synthetic": {"symbols": ["AAPL"]}}}
    with redis_server(folder / "redis") as redis, s3_server() as url, running(quiet) as vendor:
        store = bucket(url)
        environment = _sidecar_environment(folder, redis, store) | vendor.environment()
        sidecar = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "stock_platform.cli", "stream"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait(lambda: _caught_up(folder / "journal"), 60)
            sidecar.send_signal(signal.SIGTERM)
            code = sidecar.wait(60)
        finally:
            _kill_group(sidecar)
        yield Delivered(code, redis, store, folder / "lake")


class Delivered:
    """What a new sidecar did with the old journal."""

    def __init__(self, code: int, redis: Redis, store: Bucket, lake: Path) -> None:
        self.code = code
        live = [
            name for name in store.names() if name.endswith(".ndjson") and "/backfill=" not in name
        ]
        lines = [line for name in live for line in store.read(name).splitlines()]
        self.lines = Counter(json.loads(line)["ev"] for line in lines)
        self.keys = {key.decode() for key in redis.client.keys("stock:*:*")}
        self.shards = {key for key in self.keys if key.startswith("stock:events:")}
        self.queued = Counter(event["ev"] for key in self.shards for event in _queued(redis, key))
        bars = {key for key in self.keys if key.startswith("stock:agg1m:")}
        self.newest = {
            key.split(":")[2]: json.loads(redis.client.get(key))["start"] for key in bars
        }
        self.bars = [pl.read_parquet(p) for p in sorted(lake.glob("minute_bars_live/*/*.parquet"))]


def test_the_sidecar_ends_well_over_an_old_journal(delivered: Delivered) -> None:
    assert delivered.code == 0


def test_what_was_not_archived_is_archived_once(delivered: Delivered) -> None:
    archived = Counter(
        {name.split("channel=")[1].split("/")[0]: facts["lines"] for name, facts in _archived()}
    )

    assert delivered.lines == _events(0) - archived


def test_the_newest_value_of_every_key_not_yet_delivered_is_in_redis(delivered: Delivered) -> None:
    kinds = {"AM": "agg1m", "FMV": "fmv", "T": "trade", "Q": "quote"}
    left = {
        f"stock:{kinds[e['ev']]}:{e['sym']}" for e in _log(_offset("latest")) if e["ev"] in kinds
    }

    assert left <= delivered.keys


def test_the_bar_in_redis_is_the_newest_of_the_journal(delivered: Delivered) -> None:
    newest: dict[str, int] = {}
    for bar in (event for event in _log(_offset("latest")) if event["ev"] == "AM"):
        newest[bar["sym"]] = max(bar["s"], newest.get(bar["sym"], 0))

    assert delivered.newest == newest


def test_every_event_not_yet_queued_is_in_the_streams_once(delivered: Delivered) -> None:
    assert delivered.queued == _events(_offset("queue"))


def test_every_bar_not_yet_in_the_lake_is_in_the_lake(delivered: Delivered) -> None:
    bars = [e for e in _log(_offset("bars")) if e["ev"] == "AM"]
    found = {(r["symbol"], round(r["minute"].timestamp() * 1000)) for r in _dicts(delivered.bars)}

    assert {(bar["sym"], bar["s"]) for bar in bars} == found


def test_an_upload_begun_before_is_taken_up_where_it_stood() -> None:
    known = json.loads((GOLDEN / "journal_multipart" / "offsets" / "archive.json").read_text())

    point = checkpoints.load(GOLDEN / "journal_multipart", "archive")

    assert point is not None
    assert (point.offset, point.generation) == (known["offset"], known["generation"])
    state = msgspec.json.decode(point.state, type=ArchiveState)
    assert msgspec.to_builtins(state) == known["state"]


def _sidecar_environment(folder: Path, redis: Redis, store: Bucket) -> dict[str, str]:
    return {
        "POLYGON_WS_SYMBOLS": "AAPL,MSFT,QUBT",
        "POLYGON_DISCOVER_TICKERS": "false",
        "STOCKS_SYMBOLS": "AAPL,MSFT,QUBT",
        "REDIS_URL": redis.url,
        "QUEUE_ENABLED": "true",
        "QUEUE_SHARDS": "2",
        "S3_ENABLED": "true",
        "S3_BUCKET": store.name,
        "S3_ENDPOINT_URL": store.url,
        "S3_WINDOW_MINUTES": "1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "STOCKS_LAKE": str(folder / "lake"),
        "JOURNAL_DIR": str(folder / "journal"),
        "JOURNAL_SEGMENT_BYTES": "65536",
        "JOURNAL_MAX_BYTES": "10000000",
        "METRICS_PORT": "0",
        **dict.fromkeys(("AGG1M_TTL_SEC", "FMV_TTL_SEC", "TRADE_TTL_SEC", "QUOTE_TTL_SEC"), "600"),
    }


def _queued(redis: Redis, key: str) -> list[dict[str, Any]]:
    entries = [fields for _, fields in redis.client.xrange(key)]
    arrays = [v for fields in entries for v in fields.values() if v.startswith(b"[")]
    return [event for array in arrays for event in json.loads(array)]


def _caught_up(journal: Path) -> bool:
    """Tell by the checkpoints, whose form is a promise of its own: the next sidecar reads them."""
    tailers = FACTS["journal"]["offsets"]
    points = [json.loads((journal / "offsets" / f"{name}.json").read_text()) for name in tailers]
    objects = json.loads((journal / "offsets" / "archive.json").read_text())["state"]["objects"]
    waiting = [thing for thing in objects if thing["first_offset"] < _end()]
    return not waiting and all(point["offset"] >= _end() for point in points)


def _wait(ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.1)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _offset(tailer: str) -> int:
    return FACTS["journal"]["offsets"][tailer]


def _archived() -> list[tuple[str, dict[str, Any]]]:
    return list(FACTS["journal"]["delivered_before"]["s3_objects"].items())


def _log(start: int) -> list[dict[str, Any]]:
    records = [r for r in FACTS["journal"]["log"] if r["kind"] == "DATA" and r["start"] >= start]
    return [event for record in records for event in record["events"]]


def _events(start: int) -> Counter[str]:
    return Counter(event["ev"] for event in _log(start) if event["ev"] != "status")


def _dicts(frames: list[pl.DataFrame]) -> list[dict[str, Any]]:
    return [row for frame in frames for row in frame.iter_rows(named=True)]


def _end() -> int:
    return FACTS["journal"]["end"]
