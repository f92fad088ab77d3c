"""Whether the sidecar makes progress, from what its processes say about themselves.

A process that is alive and does nothing is not healthy: every consumer must
move whenever there is something to read.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from stock_platform.stream import status

STALL_S = 60.0
Facts = Mapping[str, Any]


@dataclass(eq=False)
class Progress:
    """Judges the processes' statuses; keeps when each consumer last moved."""

    journal: Path
    consumers: tuple[str, ...]
    restarts: dict[str, int] = field(default_factory=dict)
    leader: bool = False
    _moved: dict[str, tuple[tuple[int, int], float]] = field(default_factory=dict)

    def facts(self) -> Mapping[str, Facts]:
        return status.load(self.journal)

    def problems(self, now: float | None = None) -> list[str]:
        """Return what is wrong, in the order an operator would look; empty when all is well."""
        now = time.time() if now is None else now
        facts = self.facts()
        if not self.leader:
            return ["standby: another sidecar holds the lease, or Redis cannot be asked"]
        found = list(self._reader_problems(facts.get("reader", {}), now))
        for name in self.consumers:
            found += self._consumer_problems(name, facts.get(name, {}), now)
        return found

    def _reader_problems(self, reader: Facts, now: float) -> Iterator[str]:
        if now - reader.get("at", 0) > status.FRESH_S:
            yield "reader: no sign of life"
            return
        if reader.get("journal_full"):
            yield "journal: at its bound, the feed is not read"
        for name, feed in reader.get("feeds", {}).items():
            if feed["state"] != "streaming":
                yield f"feed {name}: {feed['state']}, {feed['trouble'] or 'not connected yet'}"

    def _consumer_problems(self, name: str, consumer: Facts, now: float) -> Iterator[str]:
        if now - consumer.get("at", 0) > status.FRESH_S:
            yield f"{name}: no sign of life"
            return
        # Bars are settled when their minutes are written, up to minutes later; reading moves on.
        place = (int(consumer.get("offset", 0)), int(consumer.get("settled", 0)))
        before, moved_at = self._moved.get(name, ((-1, -1), now))
        if place != before or not consumer.get("lag_bytes"):
            moved_at = now
        self._moved[name] = (place, moved_at)
        if now - moved_at > STALL_S:
            yield f"{name}: behind and has not moved for {now - moved_at:.0f} s"
        if consumer.get("trouble"):
            yield f"{name}: {consumer['trouble']}"

    def collect(self) -> Iterator[Metric]:
        """Return the metrics for Prometheus, from the same facts."""
        facts = self.facts()
        reader = facts.get("reader", {})
        yield from _feed_metrics(reader)
        yield _gauge("stock_stream_leader", "1 while this sidecar holds the lease", self.leader)
        for name in ("journal_bytes", "torn_bytes"):
            yield _gauge(f"stock_stream_{name}", f"{name} of the journal", reader.get(name, 0))
        for name in ("journal_refused", "journal_bytes_dropped", "journal_write_errors"):
            counter = CounterMetricFamily(f"stock_stream_{name}", "what the journal did not take")
            counter.add_metric([], float(reader.get(name, 0)))
            yield counter
        restarts = CounterMetricFamily(
            "stock_stream_restarts", "processes started again", labels=["process"]
        )
        for process, count in self.restarts.items():
            restarts.add_metric([process], count)
        yield restarts
        yield from self._consumer_metrics(facts)

    def _consumer_metrics(self, facts: Mapping[str, Facts]) -> Iterator[Metric]:
        numbers: dict[str, GaugeMetricFamily] = {}
        for name in self.consumers:
            for key, value in facts.get(name, {}).items():
                if isinstance(value, int | float) and key not in {"pid", "stopped"}:
                    metric = numbers.setdefault(
                        key,
                        GaugeMetricFamily(
                            f"stock_stream_tailer_{key}", f"{key} of a consumer", labels=["tailer"]
                        ),
                    )
                    metric.add_metric([name], float(value))
        yield from numbers.values()


def _feed_metrics(reader: Facts) -> Iterator[Metric]:
    feeds: Mapping[str, Facts] = reader.get("feeds", {})
    up = GaugeMetricFamily("stock_stream_feed_up", "1 while a feed streams", labels=["feed"])
    for name, feed in feeds.items():
        up.add_metric([name], float(feed["state"] == "streaming"))
    yield up
    for key in ("frames", "bytes", "reconnects", "refused_subscriptions"):
        counter = CounterMetricFamily(f"stock_stream_{key}", f"{key} of a feed", labels=["feed"])
        for name, feed in feeds.items():
            counter.add_metric([name], float(feed[key]))
        yield counter


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


class HealthServer:
    """/metrics and /healthz, on a thread of the supervisor."""

    def __init__(self, progress: Progress, host: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(progress)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, generate_latest(registry), "text/plain; version=0.0.4")
                elif self.path == "/healthz":
                    problems = progress.problems()
                    body = msgspec.json.encode({"ok": not problems, "problems": problems})
                    self._answer(503 if problems else 200, body, "application/json")
                else:
                    self._answer(404, b"", "text/plain")

            def _answer(self, code: int, body: bytes, kind: str) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
                """Say nothing: a probe every few seconds is not news."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
