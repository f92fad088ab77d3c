"""The whole sidecar against the simulated vendor, a real Redis and an S3 server."""

import json
from pathlib import Path

import msgspec

from stock_platform.simulator.serve import running
from stock_platform.stream.archive_lines import without_ingest_time
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import running_sidecar, settings_for

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
            wait_until(lambda: sidecar.facts["latest"]["events"] >= sent)
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


def test_values_have_exactly_the_agreed_fields(tmp_path: Path, redis: Redis) -> None:
    with running(SCRIPT) as simulator:
        settings = settings_for(
            tmp_path / "journal",
            simulator.ws_url_realtime,
            simulator.ws_url_delayed,
            redis.url,
        )
        with running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            simulator.start()
            wait_until(simulator.finished.is_set, 60)

    keys = {key.split(b":")[1]: key for key in redis.client.keys("stock:*:*")}
    values = {name: json.loads(redis.client.get(key)) for name, key in keys.items()}
    assert list(values[b"agg1m"]) == [
        *("symbol", "start", "end", "open", "high", "low", "close", "volume", "vwap", "updatedAt")
    ]
    assert list(values[b"fmv"]) == ["symbol", "price", "ts", "updatedAt"]
    assert list(values[b"trade"]) == ["symbol", "price", "ts", "size", "conditions", "updatedAt"]
    assert list(values[b"quote"]) == [
        *("symbol", "bid", "bidSize", "ask", "askSize", "ts", "updatedAt")
    ]
    assert values[b"agg1m"]["end"] - values[b"agg1m"]["start"] == 59_999
    assert 0 < redis.client.ttl(keys[b"agg1m"]) <= 120
    assert 0 < redis.client.ttl(keys[b"quote"]) <= 60
