"""The whole chain under a paced load: reader, journal, latest, archive, as they run for real."""

import multiprocessing
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
import redis

from stock_platform.settings import Settings, StreamSettings
from stock_platform.stream import status
from stock_platform.stream.feed.options import FeedOptions, ReaderOptions
from stock_platform.stream.feed.reader import run_reader
from stock_platform.stream.journal.format import Kind
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.processes import ManagedProcess, plan_processes
from stock_platform_tests.bench.stream_events import PROBES
from stock_platform_tests.bench.stream_load import Source

_SPAWN = multiprocessing.get_context("spawn")
POLL_S = 0.005


@dataclass
class ChainResult:
    """What a paced run showed."""

    events_per_s: float
    cpu_s_per_million: float
    cores: float
    delay_ms_p50: float
    delay_ms_p99: float
    blocked_ms_max: float
    lag_bytes: list[int]
    lag_growth_s: float
    memory_mb: float
    memory_growth_mb: float
    memory_by_process: dict[str, float] = field(default_factory=dict)
    cpu_by_process: dict[str, float] = field(default_factory=dict)


def run_chain(
    settings: StreamSettings, source: Source, seconds: float, redis_port: int
) -> ChainResult:
    """Run the sidecar's processes against a load for `seconds` after they caught up."""
    plan = plan_processes(Settings.from_env().replaced(stream=settings), None)
    children = [plan.reader, *plan.consumers]
    for child in children:
        child.ensure_running(time.monotonic())
    try:
        _wait_for_events(settings.journal_dir)
        time.sleep(3)
        return _watch(settings, children, source, seconds, redis_port)
    finally:
        plan.reader.stop(10)
        for child in plan.consumers:
            child.stop(25)


def _watch(
    settings: StreamSettings,
    children: list[ManagedProcess],
    source: Source,
    seconds: float,
    redis_port: int,
) -> ChainResult:
    delays: list[float] = []
    stop = threading.Event()
    poller = threading.Thread(target=_poll, args=(redis_port, delays, stop))
    source.forget_blocked()
    before = {child.name: _cpu(child) for child in children}
    events, started = source.events, time.monotonic()
    memory = sum(_memory(child) for child in children)
    poller.start()
    lags = []
    for _ in range(4):
        time.sleep(seconds / 4)
        facts = status.load(settings.journal_dir)
        lags.append(max(int(str(facts[c.name].get("lag_bytes", 0))) for c in children))
    span = time.monotonic() - started
    events = source.events - events
    used = {child.name: _cpu(child) - before[child.name] for child in children}
    stop.set()
    poller.join()
    cpu = sum(used.values())
    ordered = sorted(delays) or [0.0]
    return ChainResult(
        events_per_s=events / span,
        cpu_s_per_million=cpu / events * 1e6,
        cores=cpu / span,
        delay_ms_p50=ordered[len(ordered) // 2],
        delay_ms_p99=ordered[int(len(ordered) * 0.99)],
        blocked_ms_max=source.blocked_ms_max,
        lag_bytes=lags,
        lag_growth_s=(lags[-1] - lags[0]) / (126 * max(events / span, 1)),
        memory_mb=sum(_memory(child) for child in children) / 1e6,
        memory_growth_mb=(sum(_memory(child) for child in children) - memory) / 1e6,
        memory_by_process={child.name: _memory(child) / 1e6 for child in children},
        cpu_by_process={name: round(value / events * 1e6, 3) for name, value in used.items()},
    )


def _poll(port: int, delays: list[float], stop: threading.Event) -> None:
    client = redis.Redis(port=port)
    keys = [f"stock:trade:PROBE{n}" for n in range(PROBES)]
    seen: dict[int, bytes] = {}
    while not stop.is_set():
        values = client.mget(keys)
        now = time.time() * 1000
        for n, value in enumerate(values):
            if value:
                at = value.index(b'"ts":') + 5
                stamp = value[at : at + 13]
                if seen.get(n, stamp) != stamp:
                    delays.append(now - int(stamp))
                seen[n] = stamp
        time.sleep(POLL_S)
    client.close()


def _wait_for_events(journal: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if status.load(journal).get("latest", {}).get("events", 0):
            return
        time.sleep(0.1)
    raise AssertionError("nothing arrived within 60 s")


def _cpu(child: ManagedProcess) -> float:
    times = psutil.Process(child.pid).cpu_times()
    return times.user + times.system


def _memory(child: ManagedProcess) -> float:
    return psutil.Process(child.pid).memory_full_info().uss


def lost_by_kill(source: Source, journal: Path) -> int:
    """Kill a reader in mid-stream; return how many sent events never reached its journal."""
    options = ReaderOptions(
        journal=journal,
        feeds=(FeedOptions("delayed", source.host, ("T", "Q")),),
        api_key="key",
        symbols=None,
        subscribe_batch=500,
        backoff=(1000, 2.0, 30_000),
        segment_bytes=67_108_864,
        journal_bytes_max=1 << 32,
        full_policy="pause",
        sync_s=0.2,
        ping_s=10,
        silence_s=30,
        channel_silence_s=180,
        frame_bytes_max=1 << 24,
        consumers=("nobody",),
    )
    child = ManagedProcess(name="reader", main=run_reader, options=options)
    child.ensure_running(time.monotonic())
    while not source.events:
        time.sleep(0.05)
    time.sleep(2)
    psutil.Process(child.pid).kill()
    time.sleep(1)
    child.stop(1)
    tail = JournalReader(journal)
    frames = [
        frame
        for batch in iter(lambda: tail.read(1 << 24), [])
        for record in batch
        if record.kind == Kind.DATA
        for frame in record.frames()
    ]
    kept = sum(frame.count(b'"ev":') for frame in frames if b"PROBE" not in frame)
    return source.events - (kept - sum(frame.count(b'"status",') for frame in frames))


@contextmanager
def discarding_s3() -> Iterator[str]:
    """An S3 that takes everything and keeps nothing: only our own cost is measured."""
    port = _SPAWN.Value("i", 0)
    process = _SPAWN.Process(target=_discard, args=(port,), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port.value}"
    finally:
        process.kill()
        process.join()


def _discard(port: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            left = int(self.headers.get("Content-Length", 0))
            if self.headers.get("Expect"):
                self.send_response_only(100)
                self.end_headers()
            buffer = bytearray(1 << 20)
            while left > 0:
                left -= self.rfile.readinto(memoryview(buffer)[: min(left, len(buffer))]) or left
            body = b""
            if "uploads" in self.path:
                name = b"InitiateMultipartUploadResult"
                body = b"<%b><UploadId>u</UploadId></%b>" % (name, name)
            elif self.command == "POST":
                body = b"<CompleteMultipartUploadResult/>"
            self.send_response(404 if self.command == "HEAD" else 200)
            self.send_header("ETag", '"e"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
            """Say nothing."""

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    port.value = server.server_address[1]
    server.serve_forever()
