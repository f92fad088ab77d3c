"""The latest tailer over a real Redis: what a restart and an error of Redis must not do."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stock_platform.errors import TransientError
from stock_platform.stream.journal.reader import Tail
from stock_platform.stream.journal.writer import Journal
from stock_platform.stream.sinks.redis_client import CommandFailed, Reply
from stock_platform.stream.sinks.redis_latest import Latest, LatestOptions
from stock_platform.stream.sinks.redis_store import Sink, open_sink
from stock_platform_tests.stream.servers import Redis, wait_until


@pytest.fixture
def sink(redis: Redis) -> Iterator[Sink]:
    with closing(open_sink(redis.url)) as sink:
        yield sink


def flushed(latest: Latest) -> None:
    """Flush until nothing is on its way."""
    latest.flush()
    wait_until(lambda: latest.flush() or latest.finish())


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
    key: str, first: bytes, second: bytes, journal: Journal, folder: Path, redis: Redis, sink: Sink
) -> None:
    """The re-read events carry the very time that Redis holds: only their order tells."""
    for number, frame in enumerate([first, second]):
        journal.append_frames(0, 1, [frame], number)
    options = LatestOptions(folder, redis.url)
    before = Latest(options, sink)
    before.take(Tail(folder).read())
    flushed(before)
    newest = redis.client.get(key)

    again = Latest(options, sink)
    old, new = Tail(folder).read()
    again.take([old])
    again.flush()
    between = redis.client.get(key)
    again.take([new])
    flushed(again)

    assert between == newest
    assert _said(redis.client.get(key)) == _said(newest)


def _said(value: bytes) -> dict[str, object]:
    return {name: said for name, said in json.loads(value).items() if name != "updatedAt"}


class Loading:
    """A Redis that is there and answers every question with an error."""

    def command(self, *arguments: bytes | str | int) -> Reply:
        raise CommandFailed("LOADING Redis is loading the dataset in memory")

    def get(self, keys: object) -> list[bytes | None]:
        raise CommandFailed("LOADING Redis is loading the dataset in memory")

    put = close = command


def test_an_error_of_redis_is_waited_for_and_ends_no_process(
    journal: Journal, folder: Path
) -> None:
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":1,"q":3,"p":1}]'], 1)
    latest = Latest(LatestOptions(folder, "redis://"), Loading())  # type: ignore[arg-type]
    latest.take(Tail(folder).read())

    with pytest.raises(TransientError, match="LOADING"):
        latest.flush()

    assert not latest.finish()
    assert latest.settled(Tail(folder).lag()) is None


def test_nothing_counts_as_done_while_redis_has_not_taken_it(
    journal: Journal, folder: Path, redis: Redis, sink: Sink
) -> None:
    latest = Latest(LatestOptions(folder, redis.url), sink)
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":1,"q":3,"p":1}]'], 1)
    tail = Tail(folder)
    latest.take(tail.read())
    flushed(latest)
    done = tail.offset
    journal.append_frames(0, 1, [b'[{"ev":"T","sym":"A","t":2,"q":4,"p":2}]'], 2)
    latest.take(tail.read())

    before = latest.settled(tail.offset)
    flushed(latest)
    after = latest.settled(tail.offset)

    assert before
    assert after
    assert (before.offset, after.offset) == (done, tail.offset)


def test_above_the_bound_of_values_flushes_are_fewer_and_hold_the_newest(
    journal: Journal, folder: Path, redis: Redis, sink: Sink
) -> None:
    latest = Latest(LatestOptions(folder, redis.url, values_per_s=1), sink)
    tail = Tail(folder)
    seen = []
    for number in (1, 2, 3):
        event = b'[{"ev":"T","sym":"A","t":%d,"q":%d,"p":%d}]' % (number, number, number)
        journal.append_frames(0, 1, [event], number)
        latest.take(tail.read())
        latest.flush()
        wait_until(lambda: redis.client.get("stock:trade:A"))
        seen.append(_said(redis.client.get("stock:trade:A"))["price"])

    flushed(latest)

    assert seen == [1, 1, 1]
    assert _said(redis.client.get("stock:trade:A"))["price"] == 3
