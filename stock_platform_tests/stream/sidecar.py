"""A whole sidecar as a process of its own, and what tests ask of it."""

import json
import multiprocessing
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import psutil

from stock_platform.settings import Settings, StreamSettings
from stock_platform.stream import status, supervisor
from stock_platform.stream.feed.options import ReaderOptions
from stock_platform.stream.feed.reader import run_reader
from stock_platform.stream.journal.format import Kind
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.processes import ManagedProcess
from stock_platform_tests.stream.servers import wait_until

START_S = 100.0
"""Imports take 4 s of CPU; other work on the machine makes that a minute."""
STOP_S = 60.0


@dataclass
class Sidecar:
    """A running sidecar."""

    settings: StreamSettings
    process: SpawnProcess

    @property
    def journal(self) -> Path:
        return self.settings.journal_dir

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        return status.load(self.journal)

    def pid(self, process: str) -> int:
        """Return the pid of one of its processes, or of the supervisor itself."""
        if process == "supervisor":
            return self.process.pid or 0
        wait_until(lambda: process in self.facts, START_S)
        return int(self.facts[process]["pid"])

    def wait_streaming(self, *feeds: str) -> None:
        def streams() -> bool:
            assert self.process.is_alive(), "the sidecar has ended"
            reader = self.facts.get("reader", {})
            known = reader.get("feeds", {})
            streaming = known and all(known[f]["state"] == "streaming" for f in feeds or known)
            # A file may still speak of the reader of an earlier supervisor.
            return (
                streaming and not reader["stopped"] and _parent(reader["pid"]) == self.process.pid
            )

        wait_until(streams, START_S)

    def health(self) -> tuple[int, dict[str, Any]]:
        port = self.facts["supervisor"]["metrics_port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def metrics(self) -> str:
        port = self.facts["supervisor"]["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return answer.read().decode()

    def kill(self) -> None:
        """End the supervisor as a crash does; its children notice by themselves."""
        self.process.kill()
        self.process.join()

    def start_again(self) -> None:
        """Start another one with the same settings and the same disk."""
        self.process.close()
        self.process = _spawn(self.settings)

    def stop(self) -> int:
        """End it as an orchestrator does; return the exit code."""
        if self.process.is_alive():
            os.kill(self.process.pid or 0, signal.SIGTERM)
        self.process.join(STOP_S)
        return -1 if self.process.exitcode is None else self.process.exitcode


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None


def settings_for(
    folder: Path, realtime: str, delayed: str, redis_url: str, **changes: Any
) -> StreamSettings:
    usual: dict[str, Any] = {
        "polygon_api_key": "simulated-massive-key",
        "polygon_ws_symbols": "*",
        "polygon_ws_host_realtime": realtime,
        "polygon_ws_host_delayed": delayed,
        "redis_url": redis_url,
        "journal_dir": folder,
        "metrics_port": 0,
        "backoff_initial_ms": 50,
        "backoff_max_ms": 1000,
        "polygon_discover_tickers": False,
        "stream_to_lake": False,
        "lease_ttl_sec": 3,
    }
    return StreamSettings(**{**usual, **changes})


def all_settings(stream: StreamSettings) -> Settings:
    """Return what the environment sets, with these settings of the stream."""
    return Settings.from_env().replaced(stream=stream)


def _spawn(settings: StreamSettings) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_main, args=(settings,))
    process.start()
    return process


@contextmanager
def running_sidecar(settings: StreamSettings) -> Iterator[Sidecar]:
    """Run a whole sidecar; it is gone afterwards, whatever the test came to."""
    sidecar = Sidecar(settings, _spawn(settings))
    try:
        yield sidecar
    finally:
        if sidecar.stop() < 0:
            sidecar.kill()
        sidecar.process.close()


def _main(settings: StreamSettings) -> None:
    raise SystemExit(supervisor.run(all_settings(settings)))


def reader_options(folder: Path, **changes: Any) -> ReaderOptions:
    usual: dict[str, Any] = {
        "journal": folder,
        "feeds": (),
        "api_key": "simulated-massive-key",
        "symbols": None,
        "subscribe_batch": 500,
        "backoff": (50, 2.0, 1000),
        "segment_bytes": 1_000_000,
        "journal_bytes_max": 1_000_000_000,
        "full_policy": "pause",
        "sync_s": 0.2,
        "ping_s": 1.0,
        "silence_s": 30.0,
        "channel_silence_s": 180.0,
        "frame_bytes_max": 16_000_000,
        # Never released: tests read the whole journal.
        "consumers": ("nobody",),
    }
    return ReaderOptions(**{**usual, **changes})


@contextmanager
def running_reader(options: ReaderOptions) -> Iterator[ManagedProcess]:
    """Run the reader's process alone."""
    child = ManagedProcess(name="reader", main=run_reader, options=options)
    child.ensure_running(time.monotonic())
    try:
        yield child
    finally:
        child.stop(20)


def feed_status(folder: Path, feed: str = "realtime") -> dict[str, Any]:
    """Return what the reader last said about a feed."""
    return status.load(folder).get("reader", {}).get("feeds", {}).get(feed, {})


def frames_of(folder: Path) -> list[bytes]:
    """Return every frame in a journal, in order."""
    tail = JournalReader(folder)
    batches = iter(lambda: tail.read(1 << 24), [])
    found = [f for batch in batches for r in batch if r.kind == Kind.DATA for f in r.frames()]
    tail.close()
    return found


def journal_events(folder: Path) -> list[dict[str, Any]]:
    """Return what the reader noted about its connections."""
    tail = JournalReader(folder)
    batches = iter(lambda: tail.read(1 << 24), [])
    found = [json.loads(r.payload) for batch in batches for r in batch if r.kind == Kind.EVENT]
    tail.close()
    return found
