"""Every built-in sink, and the template, under the contract that a stranger's sink must pass."""

import importlib.util
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
import redis as redis_client

from stock_platform.lake.object_store import open_store
from stock_platform.lake.read import minute_bars
from stock_platform.settings import LakeSettings, MarketSettings
from stock_platform.stream.journal.consumer import Sink
from stock_platform.stream.sinks.archive.sink import ArchiveOptions, ArchiveSink
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform.stream.sinks.lake_bars import BarsOptions, LakeBarsSink
from stock_platform.stream.sinks.redis_client import RedisClient
from stock_platform.stream.sinks.redis_latest import LatestOptions, LatestSink
from stock_platform.stream.sinks.redis_store import open_value_store
from stock_platform.stream.sinks.redis_streams import QueueOptions, QueueSink, stream_name
from stock_platform.testing.sinks import SinkContract
from stock_platform_tests.stream.servers import Bucket, Redis

TEMPLATE = Path(__file__).parents[2] / "docs" / "templates" / "sink.py"
DATABASES = {"a": 1, "b": 2}
SHARDS = 2


class RedisContract(SinkContract):
    @pytest.fixture(autouse=True)
    def _open_redis(self, redis: Redis) -> Iterator[None]:
        self.clients: dict[str, Any] = {
            name: redis_client.Redis(port=redis.port, db=number)
            for name, number in DATABASES.items()
        }
        self.url = redis.url.removesuffix("/0")
        yield
        for client in self.clients.values():
            client.close()

    def database(self, destination: Path) -> str:
        return f"{self.url}/{DATABASES[destination.name]}"


class TestLatest(RedisContract):
    def make_sink(self, journal: Path, destination: Path) -> Sink:
        journal.mkdir(exist_ok=True)
        url = self.database(destination)
        return LatestSink(LatestOptions(journal=journal, redis_url=url), open_value_store(url))

    def stored(self, destination: Path) -> object:
        client = self.clients[destination.name]
        values = {key: json.loads(client.get(key)) for key in sorted(client.keys("stock:*"))}
        return {key: {**value, "updatedAt": ""} for key, value in values.items()}


class TestQueue(RedisContract):
    def make_sink(self, journal: Path, destination: Path) -> Sink:
        url = self.database(destination)
        return QueueSink(
            QueueOptions(journal=journal, redis_url=url, shards=SHARDS, entries_max=1000),
            RedisClient(url),
        )

    def stored(self, destination: Path) -> object:
        client = self.clients[destination.name]
        shards = [client.xrange(stream_name(shard)) for shard in range(SHARDS)]
        return [entry for shard in shards for entry in shard]


class TestArchive(SinkContract):
    @pytest.fixture(autouse=True)
    def _open_bucket(self, s3: Bucket) -> None:
        self.s3 = s3

    def make_sink(self, journal: Path, destination: Path) -> Sink:
        store = StoreOptions(self.s3.name, "us-east-1", self.s3.url)
        options = ArchiveOptions(
            journal=journal,
            store=store,
            naming=Naming(destination.name, "host1", 30),
            part_bytes=5 * 1024 * 1024,
            object_bytes_max=512_000_000,
        )
        return ArchiveSink(options, ArchiveStore(store))

    def stored(self, destination: Path) -> object:
        names = self.s3.names(f"{destination.name}/")
        return {name.partition("/")[2]: self.s3.read(name) for name in names}


class TestLakeBars(SinkContract):
    def make_sink(self, journal: Path, destination: Path) -> Sink:
        lake = LakeSettings.model_validate({"lake": str(destination)})
        options = BarsOptions(
            journal=journal,
            lake=lake,
            market=MarketSettings.model_validate({}),
            writer="w",
            feeds=("realtime", "delayed"),
            covers_market=True,
        )
        return LakeBarsSink(options, open_store(lake))

    def stored(self, destination: Path) -> object:
        store = open_store(LakeSettings.model_validate({"lake": str(destination)}))
        bars = minute_bars(store, date(2025, 11, 20))
        return bars.select("symbol", "minute", "close", pl.col("volume")).sort("minute").to_dicts()


def template() -> ModuleType:
    """Return the template, as a user's module."""
    spec = importlib.util.spec_from_file_location("sink_template", TEMPLATE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestTemplate(SinkContract):
    def make_sink(self, journal: Path, destination: Path) -> Sink:
        return template().TradesSink(destination / "trades.sqlite")

    def stored(self, destination: Path) -> object:
        sink = template().TradesSink(destination / "trades.sqlite")
        rows = sink._database.execute("SELECT symbol, price, time FROM trades").fetchall()
        sink.close()
        return sorted(rows)
