"""Events in Redis Streams: whole batches, in order, and never twice."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.redis_client import RedisClient
from stock_platform.stream.sinks.redis_streams import QueueOptions, QueueSink, stream_name
from stock_platform_tests.stream.servers import Redis

SHARDS = 3


@pytest.fixture
def link(redis: Redis) -> Iterator[RedisClient]:
    with closing(RedisClient(redis.url)) as link:
        yield link


def queue(folder: Path, redis: Redis, link: RedisClient) -> QueueSink:
    return QueueSink(
        QueueOptions(journal=folder, redis_url=redis.url, shards=SHARDS, entries_max=1000), link
    )


def events_in(client: Any) -> list[list[dict[str, Any]]]:
    return [
        [
            event
            for _, entry in client.xrange(stream_name(shard))
            for event in json.loads(entry[b"events"])
        ]
        for shard in range(SHARDS)
    ]


def fill(journal: JournalWriter) -> None:
    for n in range(10):
        frame = b'[{"ev":"T","sym":"A","q":%d},{"ev":"T","sym":"B","q":%d},{"ev":"LULD","T":"C"}]'
        journal.append_frames(1, 1, [frame % (n, n), b"not json", b'[{"ev":"status"}]'], n)


def test_every_symbol_is_in_one_shard_in_its_order(
    journal: JournalWriter, folder: Path, redis: Redis, link: RedisClient
) -> None:
    fill(journal)
    work = queue(folder, redis, link)

    work.add(JournalReader(folder).read())
    work.flush()

    shards = events_in(redis.client)
    holding_a = [[e["q"] for e in shard if e.get("sym") == "A"] for shard in shards]
    assert sorted(holding_a) == [[], [], list(range(10))]
    assert sum(map(len, shards)) == 30
    assert work.status()["malformed"] == 10


def test_the_same_records_again_add_nothing(
    journal: JournalWriter, folder: Path, redis: Redis, link: RedisClient
) -> None:
    fill(journal)
    first = queue(folder, redis, link)
    first.add(JournalReader(folder).read())
    first.flush()

    again = queue(folder, redis, link)
    again.add(JournalReader(folder).read())
    again.flush()

    assert sum(map(len, events_in(redis.client))) == 30
    assert again.status()["repeated"] == again.status()["entries"]
