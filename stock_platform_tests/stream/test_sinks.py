"""One contract for Redis over its own protocol and over Upstash's REST."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis as redis_client

from stock_platform.errors import PermanentError, TransientError
from stock_platform.stream.lease import Lease
from stock_platform.stream.sinks.conflation import Update
from stock_platform.stream.sinks.redis_store import LeaseLostError, ValueStore, open_value_store
from stock_platform_tests.stream.servers import Redis, free_port

TOKEN = "upstash-token"


@contextmanager
def upstash(port: int) -> Iterator[str]:
    """Upstash's REST protocol over a real Redis."""
    client = redis_client.Redis(port=port, decode_responses=True)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, {"error": "Unauthorized"})
            elif self.path == "/pipeline":
                self._answer(200, [_run(client, command) for command in body])
            else:
                result = _run(client, body)
                self._answer(400 if "error" in result else 200, result)

        def _answer(self, code: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


def _run(client: Any, command: list[Any]) -> dict[str, Any]:
    try:
        result = client.execute_command(*command)
    except redis_client.ResponseError as error:
        return {"error": str(error)}
    return {"result": "OK" if result is True else result}


@pytest.fixture(params=["redis", "upstash"])
def sink(request: pytest.FixtureRequest, redis: Redis) -> Iterator[ValueStore]:
    if request.param == "redis":
        with closing(open_value_store(redis.url)) as sink:
            yield sink
        return
    with upstash(redis.port) as url, closing(open_value_store(url, TOKEN)) as sink:
        yield sink


def updates(count: int, ttl_s: int = 60, kind: bytes = b"trade") -> list[Update]:
    keys = [b"stock:%b:S%d" % (kind, n) for n in range(count)]
    return [Update(ttl_s, keys, [b'{"n":%d}' % n for n in range(count)])]


def test_every_value_is_set_with_its_lifetime(sink: ValueStore, redis: Redis) -> None:
    sink.put([*updates(1203), *updates(2, 120, b"agg1m")], ("lease", ""))

    assert redis.client.dbsize() == 1205
    assert redis.client.get("stock:trade:S1202") == b'{"n":1202}'
    assert redis.client.get("stock:agg1m:S1") == b'{"n":1}'
    assert 0 < redis.client.ttl("stock:trade:S7") <= 60
    assert 60 < redis.client.ttl("stock:agg1m:S0") <= 120


def test_values_come_back_in_order_and_missing_ones_are_none(sink: ValueStore) -> None:
    sink.put(updates(3), ("lease", ""))

    assert sink.get([b"stock:trade:S2", b"nothing", b"stock:trade:S0"]) == [
        b'{"n":2}',
        None,
        b'{"n":0}',
    ]


def test_without_the_lease_nothing_is_set(sink: ValueStore, redis: Redis) -> None:
    redis.client.set("lease", "8")

    with pytest.raises(LeaseLostError):
        sink.put(updates(1), ("lease", "7"))

    assert redis.client.get("stock:trade:S0") is None


def test_of_two_claims_one_holds_and_the_next_has_a_higher_number(sink: ValueStore) -> None:
    first, second = (
        Lease(values=sink, key="lease:x", ttl_ms=60_000),
        Lease(values=sink, key="lease:x", ttl_ms=60_000),
    )

    held, refused = first.acquire(), second.acquire()
    first_fence = first.fence
    first.release()
    taken = second.acquire()

    assert (held, refused, taken) == (True, False, True)
    assert second.fence > first_fence
    assert not first.renew()
    assert second.renew()


def test_the_doctors_check_writes_and_reads_back(sink: ValueStore) -> None:
    sink.command("SET", "stock:test", "ok", "EX", 60)

    assert sink.command("GET", "stock:test") == b"ok"
    assert sink.command("TTL", "stock:test") in range(1, 61)


def test_a_wrong_token_is_permanent_and_not_in_the_message(redis: Redis) -> None:
    with (
        upstash(redis.port) as url,
        closing(open_value_store(url, "not-the-token")) as sink,
        pytest.raises(PermanentError) as failed,
    ):
        sink.command("GET", "x")

    assert "not-the-token" not in str(failed.value)


@pytest.mark.parametrize("scheme", ["redis", "http"])
def test_a_redis_that_is_away_is_transient(scheme: str) -> None:
    with (
        closing(open_value_store(f"{scheme}://127.0.0.1:{free_port()}", "t")) as sink,
        pytest.raises(TransientError, match="does not answer"),
    ):
        sink.put(updates(1), ("lease", ""))


def test_a_password_is_used_and_never_shown(redis: Redis) -> None:
    with (
        closing(open_value_store(f"redis://:wrong-password@127.0.0.1:{redis.port}/0")) as sink,
        pytest.raises(PermanentError) as failed,
    ):
        sink.command("GET", "x")

    assert "wrong-password" not in str(failed.value)


def test_published_values_reach_a_subscriber(redis: Redis) -> None:
    with redis.client.pubsub() as subscriber:
        subscriber.subscribe("stock:trade:S0")
        subscriber.get_message(timeout=5)
        with closing(open_value_store(redis.url, publish=True)) as sink:
            sink.put(updates(1), ("lease", ""))
        message = subscriber.get_message(timeout=5)

    assert message["data"] == b'{"n":0}'
