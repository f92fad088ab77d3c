"""The latest consumer over a real Redis: what a restart and an error of Redis must not do."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stock_platform.errors import TransientError
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.redis_client import RedisCommandError, RedisReply
from stock_platform.stream.sinks.redis_latest import LatestOptions, LatestSink
from stock_platform.stream.sinks.redis_store import ValueStore, open_value_store
from stock_platform_tests.stream.servers import Redis, wait_until


@pytest.fixture
def sink(redis: Redis) -> Iterator[ValueStore]:
    with closing(open_value_store(redis.url)) as sink:
        yield sink


def flushed(latest: LatestSink) -> None:
    """Flush until nothing is on its way."""
    latest.flush()
    wait_until(lambda: latest.flush() or latest.drain())


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        (
            "stock:trade:A",
            b'[{"ev":"T","sym":"A","t":1795276800000,"q":3,"p":1}]',
            b'[{"ev":"T","sym":"A","t":1795276800000,"q":5,"p":2}]',
        ),
        (
            "stock:agg1m:A",
            b'[{"ev":"AM","sym":"A","s":1795276800000,"c":1}]',
            b'[{"ev":"AM","sym":"A","s":1795276800000,"c":2}]',
        ),
    ],
)
def test_a_restart_sets_nothing_older_even_for_a_moment(
    key: str,
    first: bytes,
    second: bytes,
    journal: JournalWriter,
    folder: Path,
    redis: Redis,
    sink: ValueStore,
) -> None:
    """The re-read events carry the very time that Redis holds: only their order tells."""
    for number, frame in enumerate([first, second]):
        journal.append_frames(0, 1, [frame], number)
    options = LatestOptions(journal=folder, redis_url=redis.url)
    before = LatestSink(options, sink)
    before.add(JournalReader(folder).read())
    flushed(before)
    newest = redis.client.get(key)

    again = LatestSink(options, sink)
    old, new = JournalReader(folder).read()
    again.add([old])
    again.flush()
    between = redis.client.get(key)
    again.add([new])
    flushed(again)

    assert between == newest
    assert _said(redis.client.get(key)) == _said(newest)


def _said(value: bytes) -> dict[str, object]:
    return {name: said for name, said in json.loads(value).items() if name != "updatedAt"}


class Loading:
    """A Redis that is there and answers every question with an error."""

    def command(self, *arguments: bytes | str | int) -> RedisReply:
        raise RedisCommandError("LOADING Redis is loading the dataset in memory")

    def get(self, keys: object) -> list[bytes | None]:
        raise RedisCommandError("LOADING Redis is loading the dataset in memory")

    put = close = command


def test_an_error_of_redis_is_waited_for_and_ends_no_process(
    journal: JournalWriter, folder: Path
) -> None:
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":1,"q":3,"p":1}]'], 1)
    latest = LatestSink(LatestOptions(journal=folder, redis_url="redis://"), Loading())  # type: ignore[arg-type]
    latest.add(JournalReader(folder).read())

    with pytest.raises(TransientError, match="LOADING"):
        latest.flush()

    assert not latest.drain()
    assert latest.checkpoint(JournalReader(folder).lag()) is None


def test_nothing_counts_as_done_while_redis_has_not_taken_it(
    journal: JournalWriter, folder: Path, redis: Redis, sink: ValueStore
) -> None:
    latest = LatestSink(LatestOptions(journal=folder, redis_url=redis.url), sink)
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":1,"q":3,"p":1}]'], 1)
    tail = JournalReader(folder)
    latest.add(tail.read())
    flushed(latest)
    done = tail.offset
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":2,"q":4,"p":2}]'], 2)
    latest.add(tail.read())

    before = latest.checkpoint(tail.offset)
    flushed(latest)
    after = latest.checkpoint(tail.offset)

    assert before
    assert after
    assert (before.offset, after.offset) == (done, tail.offset)


def test_above_the_bound_of_values_flushes_are_fewer_and_hold_the_newest(
    journal: JournalWriter, folder: Path, redis: Redis, sink: ValueStore
) -> None:
    latest = LatestSink(LatestOptions(journal=folder, redis_url=redis.url, values_per_s=1), sink)
    tail = JournalReader(folder)
    seen = []
    for number in (1, 2, 3):
        event = b'[{"ev":"T","sym":"A","t":%d,"q":%d,"p":%d}]' % (number, number, number)
        journal.append_frames(0, 1, [event], number)
        latest.add(tail.read())
        latest.flush()
        wait_until(lambda: redis.client.get("stock:trade:A"))
        seen.append(_said(redis.client.get("stock:trade:A"))["price"])

    flushed(latest)

    assert seen == [1, 1, 1]
    assert _said(redis.client.get("stock:trade:A"))["price"] == 3
