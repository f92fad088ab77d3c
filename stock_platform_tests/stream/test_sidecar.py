"""The whole sidecar against the simulated vendor, a real Redis and an S3 server."""

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.lake.object_store import open_store
from stock_platform.lake.read import minute_bars
from stock_platform.lake.stream_parts import read_connections
from stock_platform.settings import LakeSettings
from stock_platform.simulator.server import running
from stock_platform.stream.feed.connection import DEBUG_BYTES
from stock_platform.stream.sinks.archive.lines import without_ingest_time
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import running_sidecar, settings_for

LIFETIMES = {b"agg1m": 400, b"fmv": 300, b"trade": 200, b"quote": 100}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MS = re.compile(r"\d{13}")
SCRIPT = {
    "market": {
        "synthetic": {"symbols": 20, "first": "2026-11-18", "last": "2026-11-18"},
        "now": "replay",
    },
    "feed": {"start": "told", "speed": "max"},
}


def test_the_feed_arrives_in_redis_and_in_the_archive(
    tmp_path: Path, redis: Redis, s3: Bucket
) -> None:
    with running(SCRIPT) as simulator:
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
            s3_enabled=True,
            s3_bucket=s3.name,
            s3_endpoint_url=s3.url,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            simulator.start()
            wait_until(simulator.finished.is_set, 60)
            sent = simulator.stats()["events_sent"]
            wait_until(lambda: sidecar.facts.get("latest", {}).get("events", 0) >= sent, 60)
            code, health = sidecar.health()
            metrics = sidecar.metrics()
            exit_code = sidecar.stop()

    lines = s3.lines()
    keys = redis.client.keys("stock:*:*")
    assert exit_code == 0
    assert (code, health["problems"]) == (200, [])
    assert "stock_stream_frames_total" in metrics
    assert len(lines) == sent
    assert not [name for name in s3.names() if name.endswith("uploading.marker")]
    events = [msgspec.json.decode(without_ingest_time(line)) for line in lines]
    for kind, channel in (("agg1m", "AM"), ("trade", "T"), ("quote", "Q"), ("fmv", "FMV")):
        symbols = {event["sym"] for event in events if event["ev"] == channel}
        found = {key.decode().split(":")[2] for key in keys if f":{kind}:".encode() in key}
        assert found == symbols


def test_minute_bars_and_the_connection_log_reach_the_lake(
    tmp_path: Path, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the names this machine has: a part's name once was one the lake refuses."""
    monkeypatch.setenv("STOCKS_LAKE", str(tmp_path / "lake"))
    with running(SCRIPT) as simulator:
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
            stream_to_lake=True,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            wait_until(lambda: "bars" in sidecar.facts, 60)
            today = datetime.now(UTC).astimezone(NEW_YORK).date()
            simulator.start()
            wait_until(simulator.finished.is_set, 60)
            exit_code = sidecar.stop()
            bars = sidecar.facts["bars"]
        [session] = simulator.market.sessions
        sent = simulator.market.live_bars(session)

    store = open_store(LakeSettings(lake=str(tmp_path / "lake")))
    key = ["symbol", "minute"]
    found = minute_bars(store, session).select(*key, "close").sort(key)
    newest = sent.sort("sent_at", maintain_order=True).unique(key, keep="last").sort(key)
    log = read_connections(store, today)
    assert exit_code == 0
    assert (bars["trouble"], bars["held"], bars["rejected"]) == ("", 0, 0)
    assert found.select(key).equals(newest.select(key).cast(dict(found.select(key).schema)))
    assert found["close"].cast(pl.Float64).to_list() == newest["close"].cast(pl.Float64).to_list()
    assert set(log["channel"]) == {"AM", "FMV", "T", "Q"}
    assert log["disconnected_at"].null_count() == 0


def test_an_outage_of_trades_and_quotes_is_healed_while_the_sidecar_runs(
    tmp_path: Path, redis: Redis, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = {"session": "2026-11-18", "at": "10:30", "minutes": 7, "kind": "reset"}
    script = {**SCRIPT, "feed": {**SCRIPT["feed"], "outages": [outage], "speed": 1200}}
    monkeypatch.setenv("STOCKS_LAKE", str(tmp_path / "lake"))
    with running(script) as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
            polygon_ws_symbols="MSFT,GOOG",
            s3_enabled=True,
            s3_bucket=s3.name,
            s3_endpoint_url=s3.url,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            simulator.start()
            wait_until(lambda: sidecar.facts.get("backfill", {}).get("healed"), 90)
            exit_code = sidecar.stop()

    lost = set(range(10 * 60 + 30, 10 * 60 + 34))
    names = [name for name in s3.names() if "/backfill=" in name]
    healed = [json.loads(line) for name in names for line in s3.read(name).splitlines()]
    minutes = {_clock(event["t"]) for event in healed if event["ev"] == "T"}
    assert exit_code == 0
    assert sorted({name.split("/")[1] for name in names}) == ["channel=Q", "channel=T"]
    assert {event["sym"] for event in healed} == {"MSFT", "GOOG"}
    assert lost <= minutes


def _clock(ms: int) -> int:
    """Return the New York wall clock in minutes; what is delayed is lost by its own time."""
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(NEW_YORK)
    return at.hour * 60 + at.minute + 15


def test_debugging_shows_frames_and_writes_and_never_the_key(
    tmp_path: Path, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(SCRIPT) as simulator:
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
            ws_debug=True,
            ws_health_interval_sec=1,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            simulator.start()
            wait_until(simulator.finished.is_set, 60)
            wait_until(lambda: sidecar.facts.get("latest", {}).get("written"), 60)
            time.sleep(1.5)

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line[:1] == "{"]
    by_event = {line["event"]: line for line in said}
    sent = [line["text"] for line in said if line["event"] == "frame_out"]
    assert {'{"action":"subscribe","params":"AM.*,FMV.*"}'} <= set(sent)
    assert max(len(line["text"]) for line in said if line["event"] == "frame_in") == DEBUG_BYTES
    assert by_event["redis_write"]["key"].startswith("stock:")
    assert by_event["redis_write"]["ttl_s"] in {60, 120}
    assert by_event["stream_health"]["drops"] == 0
    assert set(by_event["stream_health"]["lag_bytes"]) == {"latest"}
    assert "simulated-massive-key" not in json.dumps(said)


def test_values_have_exactly_the_agreed_fields(tmp_path: Path, redis: Redis) -> None:
    with running(SCRIPT) as simulator:
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
            agg1m_ttl_sec=400,
            fmv_ttl_sec=300,
            trade_ttl_sec=200,
            quote_ttl_sec=100,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            simulator.start()
            wait_until(simulator.finished.is_set, 60)

    keys = {key.split(b":")[1]: key for key in redis.client.keys("stock:*:*")}
    values = {name: json.loads(redis.client.get(keys[name])) for name in LIFETIMES}
    assert list(values[b"agg1m"]) == [
        *("symbol", "start", "end", "open", "high", "low", "close", "volume", "vwap", "updatedAt")
    ]
    assert list(values[b"fmv"]) == ["symbol", "price", "ts", "updatedAt"]
    assert list(values[b"trade"]) == ["symbol", "price", "ts", "size", "conditions", "updatedAt"]
    assert list(values[b"quote"]) == [
        *("symbol", "bid", "bidSize", "ask", "askSize", "ts", "updatedAt")
    ]
    assert values[b"agg1m"]["end"] - values[b"agg1m"]["start"] == 59_999
    assert isinstance(values[b"trade"]["conditions"], list)
    for name, value in values.items():
        assert STAMP.fullmatch(value["updatedAt"])
        assert MS.fullmatch(str(value.get("ts", value.get("start"))))
        assert LIFETIMES[name] - 30 < redis.client.ttl(keys[name]) <= LIFETIMES[name]
