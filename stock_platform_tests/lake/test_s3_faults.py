"""An S3 that answers 409 or 503: asked again a bounded number of times, then named."""

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.settings import LakeSettings

PATH = "t/data.parquet"


@contextmanager
def answering(*statuses: int) -> Generator[tuple[ObjectStore, list[int]]]:
    """Serve the statuses in turn, the last one for ever; yield a store on it and what it sent."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent.append(statuses[min(len(sent), len(statuses) - 1)])
            self.send_response(sent[-1])
            self.send_header("ETag", '"made"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    settings = {"s3_endpoint": f"http://127.0.0.1:{server.server_port}", "lake": "s3://b/p"}
    keys = {"s3_access_key": "key", "s3_secret_key": "hidden"}
    try:
        yield open_store(LakeSettings.model_validate({**settings, **keys})), sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [503, 500])
def test_a_passing_trouble_is_sat_out(status: int) -> None:
    with answering(status, status, 200) as (store, sent):
        store.put_if_match(PATH, b"data", None)

    assert sent == [status, status, 200]


def test_another_writer_at_the_same_moment_does_not_mean_that_the_object_is_there() -> None:
    with answering(409, 409, 200) as (store, sent):
        assert store.put_if_absent(PATH, b"data")

    assert sent == [409, 409, 200]


@pytest.mark.parametrize("status", [409, 503])
def test_a_lasting_trouble_ends_and_is_transient(status: int) -> None:
    with answering(status) as (store, sent), pytest.raises(TransientError) as trouble:
        store.put_if_absent(PATH, b"data")

    assert 1 <= len(sent) <= 10
    assert "hidden" not in str(trouble.value)
    assert "http" not in str(trouble.value)


def test_a_refusal_is_permanent_and_asked_once() -> None:
    with answering(403) as (store, sent), pytest.raises(PermanentError, match="not allowed"):
        store.put_if_match(PATH, b"data", None)

    assert sent == [403]
