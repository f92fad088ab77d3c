"""F12-F15: what Redis and S3 can do to us."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from stock_platform.stream.journal.consumer import JournalConsumer
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.lease import Lease
from stock_platform.stream.sinks.archive.sink import ArchiveOptions, ArchiveSink
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform.stream.sinks.redis_latest import Fence, LatestOptions, LatestSink, save_fence
from stock_platform.stream.sinks.redis_store import ValueStore, open_value_store
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until

FIVE_MIB = 5 * 1024 * 1024


def trade(number: int) -> bytes:
    return b'[{"ev":"T","sym":"N%d","p":%d.5,"s":1,"t":%d,"q":%d}]' % (
        number % 7,
        number,
        time.time_ns() // 1_000_000,
        number,
    )


@contextmanager
def tailing(folder: Path, work: ValueStore) -> Iterator[JournalConsumer]:
    consumer = JournalConsumer(folder, work)
    thread = threading.Thread(target=consumer.run, args=(lambda: True,))
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    journal = JournalWriter(
        tmp_path / "journal", segment_bytes=1_000_000, bytes_max=1 << 30, policy="pause"
    )
    yield journal
    journal.close()


@pytest.fixture
def leases(redis: Redis) -> Iterator[ValueStore]:
    """A connection of the test's own: that of a running sink is used by its thread."""
    with closing(open_value_store(redis.url)) as store:
        yield store


@pytest.fixture
def sink(redis: Redis) -> Iterator[ValueStore]:
    with closing(open_value_store(redis.url)) as sink:
        yield sink


@pytest.mark.parametrize(
    "away_s",
    [
        pytest.param(2, id="2 s"),
        pytest.param(60, id="60 s", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_f12_redis_away_costs_nothing_but_time(
    away_s: float, journal: JournalWriter, redis: Redis, sink: ValueStore
) -> None:
    latest = LatestSink(LatestOptions(journal=journal.folder, redis_url=redis.url), sink)
    with tailing(journal.folder, latest) as consumer:
        for number in range(20):
            journal.append_frames(0, 1, [trade(number)], number)
        wait_until(lambda: latest.status()["written"])
        redis.stop()
        for number in range(20, 40):
            journal.append_frames(0, 1, [trade(number)], number)
        time.sleep(away_s)
        waiting = consumer.error
        redis.start()
        wait_until(lambda: latest.drain() and not consumer.error)

    prices = {n: json.loads(redis.client.get(f"stock:trade:N{n}"))["price"] for n in range(7)}
    assert waiting.startswith("Redis does not answer")
    assert prices == {number % 7: number + 0.5 for number in range(33, 40)}


class Trouble(BaseHTTPRequestHandler):
    """Stands before moto and misbehaves as told."""

    protocol_version = "HTTP/1.1"
    upstream = ("127.0.0.1", 0)
    mode = ""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.mode in {"500", "503"}:
            self._answer(int(self.mode), b"<Error><Code>SlowDown</Code></Error>", {})
            return
        if self.mode == "slow":
            time.sleep(0.3)
        connection = HTTPConnection(*self.upstream)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if self.mode == "answer lost":
            # The store has done it, and we never hear of it.
            self.close_connection = True
            return
        ours = {"transfer-encoding", "connection"}
        self._answer(
            answer.status, data, {k: v for k, v in answer.getheaders() if k.lower() not in ours}
        )

    def _answer(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        # What HEAD says of an object's length is not the length of its answer.
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
        """Say nothing."""


@contextmanager
def troubled(url: str) -> Iterator[tuple[str, Any]]:
    where = urlsplit(url)
    handler = type("Here", (Trouble,), {"upstream": (where.hostname, where.port)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("mode", ["500", "503", "slow", "answer lost"])
@pytest.mark.parametrize(
    "bad_s",
    [
        pytest.param(2, id="2 s"),
        pytest.param(60, id="60 s", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_f13_s3_in_trouble_archives_everything_once_afterwards(
    bad_s: float, mode: str, journal: JournalWriter, s3: Bucket
) -> None:
    """First an open object, whose parts go up; then a sealed one, that has to be completed."""
    with troubled(s3.url) as (url, handler):
        store = StoreOptions(s3.name, "us-east-1", url)
        options = ArchiveOptions(
            journal=journal.folder,
            store=store,
            naming=Naming("cold", "h", 30),
            part_bytes=FIVE_MIB,
            object_bytes_max=1 << 29,
        )
        archive = ArchiveSink(options, ArchiveStore(store))
        handler.mode = mode
        padding = b"x" * 100_000
        with tailing(journal.folder, archive) as consumer:
            for number in range(80):
                frame = trade(number).replace(b'"s":1', b'"s":1,"pad":"%b"' % padding)
                small = frame.replace(b'"ev":"T"', b'"ev":"AM"').replace(padding, b"")
                journal.append_frames(0, 1, [frame, small], time.time_ns() // 1000)
            time.sleep(bad_s / 2)
            handler.mode = ""
            wait_until(lambda: int(str(archive.status()["uploaded_bytes"])) > FIVE_MIB, 60)
            handler.mode = mode
            consumer.stop()
            time.sleep(bad_s / 2)
            handler.mode = ""
        archive.close()
        # Whoever was too long at it to be waited for leaves the rest to the next one.
        again = ArchiveSink(options, ArchiveStore(store))
        with tailing(journal.folder, again) as consumer:
            consumer.stop()
        again.close()

    for channel in ("T", "AM"):
        lines = s3.lines(f"cold/channel={channel}/")
        assert sorted(json.loads(line)["q"] for line in lines) == list(range(80))
    assert not [name for name in s3.names() if name.endswith("marker")]


def test_f14_a_paused_sidecar_that_lost_its_lease_writes_nothing(
    journal: JournalWriter,
    redis: Redis,
    sink: ValueStore,
    leases: ValueStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT: the other one leads by now."""
    mine = Lease(values=leases, key="stock:lease:test", ttl_ms=200)
    assert mine.acquire()
    save_fence(journal.folder, Fence("stock:lease:test", str(mine.fence)))
    paused = LatestSink(LatestOptions(journal=journal.folder, redis_url=redis.url), sink)
    time.sleep(0.3)
    other = Lease(values=leases, key="stock:lease:test", ttl_ms=60_000)
    assert other.acquire()

    journal.append_frames(0, 1, [trade(1)], 1)
    with tailing(journal.folder, paused) as consumer:
        wait_until(lambda: consumer.error)
        monkeypatch.setattr("stock_platform.stream.journal.consumer.STOP_S", 0.0)

    assert redis.client.get("stock:trade:N1") is None
    assert other.fence > mine.fence
    assert consumer.error.startswith("the lease belongs to another sidecar")


def test_f14_a_sidecar_that_takes_its_lease_anew_goes_on_where_it_was(
    journal: JournalWriter, redis: Redis, sink: ValueStore, leases: ValueStore
) -> None:
    lease = Lease(values=leases, key="stock:lease:test", ttl_ms=100)
    assert lease.acquire()
    save_fence(journal.folder, Fence("stock:lease:test", str(lease.fence)))
    latest = LatestSink(LatestOptions(journal=journal.folder, redis_url=redis.url), sink)
    time.sleep(0.2)

    journal.append_frames(0, 1, [trade(1)], 1)
    with tailing(journal.folder, latest) as consumer:
        wait_until(lambda: consumer.error)
        lease.ttl_ms = 60_000
        assert lease.acquire()
        save_fence(journal.folder, Fence("stock:lease:test", str(lease.fence)))
        wait_until(lambda: redis.client.get("stock:trade:N1"))

    assert json.loads(redis.client.get("stock:trade:N1"))["price"] == 1.5


def test_f14_what_another_sidecar_set_meanwhile_is_not_replaced_by_something_older(
    journal: JournalWriter, redis: Redis, sink: ValueStore, leases: ValueStore
) -> None:
    key = "stock:trade:N1"
    lease, other = (Lease(values=leases, key="stock:lease:test", ttl_ms=60_000) for _ in range(2))
    assert lease.acquire()
    save_fence(journal.folder, Fence("stock:lease:test", str(lease.fence)))
    latest = LatestSink(LatestOptions(journal=journal.folder, redis_url=redis.url), sink)
    newer = b'{"symbol":"N1","price":9.5,"ts":%d}' % (time.time_ns() // 1_000_000 + 60_000)

    with tailing(journal.folder, latest) as consumer:
        journal.append_frames(0, 1, [trade(1)], 1)
        wait_until(lambda: redis.client.get(key))
        lease.release()
        assert other.acquire()
        redis.client.set(key, newer)
        journal.append_frames(0, 1, [trade(8)], 2)
        wait_until(lambda: consumer.error)
        other.release()
        assert lease.acquire()
        save_fence(journal.folder, Fence("stock:lease:test", str(lease.fence)))
        wait_until(lambda: latest.drain() and not consumer.error)

    assert redis.client.get(key) == newer
