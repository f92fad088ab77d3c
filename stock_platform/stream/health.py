"""Whether the sidecar makes progress, from the status files of its processes.

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


@dataclass(eq=False, kw_only=True)
class Progress:
    """Finds problems in the processes' statuses; keeps when each consumer last moved."""

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
            return ["standby: another sidecar holds the lease, or Redis does not answer"]
        found = list(self._reader_problems(facts.get("reader", {}), now))
        for name in self.consumers:
            found += self._consumer_problems(name, facts.get(name, {}), now)
        return found

    def _reader_problems(self, reader: Facts, now: float) -> Iterator[str]:
        if now - reader.get("at", 0) > status.FRESH_S:
            yield "reader: its status is older than 10 s"
            return
        if reader.get("journal_full"):
            yield "journal: at its bound, the feed is not read"
        for name, feed in reader.get("feeds", {}).items():
            if feed["state"] != "streaming":
                yield f"feed {name}: {feed['state']}, {feed['trouble'] or 'not connected yet'}"

    def _consumer_problems(self, name: str, consumer: Facts, now: float) -> Iterator[str]:
        if now - consumer.get("at", 0) > status.FRESH_S:
            yield f"{name}: its status is older than 10 s"
            return
        # The checkpoint of bars moves when their minutes are written, the offset before that.
        position = (int(consumer.get("offset", 0)), int(consumer.get("settled", 0)))
        before, moved_at = self._moved.get(name, ((-1, -1), now))
        if position != before or not consumer.get("lag_bytes"):
            moved_at = now
        self._moved[name] = (position, moved_at)
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
            counter = CounterMetricFamily(f"stock_stream_{name}", "what the journal could not keep")
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
                    self._respond(200, generate_latest(registry), "text/plain; version=0.0.4")
                elif self.path == "/healthz":
                    problems = progress.problems()
                    body = msgspec.json.encode({"ok": not problems, "problems": problems})
                    self._respond(503 if problems else 200, body, "application/json")
                else:
                    self._respond(404, b"", "text/plain")

            def _respond(self, code: int, body: bytes, kind: str) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
                """Log nothing: a probe every few seconds is not worth a line."""

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


@dataclass(slots=True)
class _Sum:
    """A counter over the restarts of the process that counts."""

    total: float = 0.0
    last: float = 0.0

    def add(self, counted: float) -> float:
        """Return what was added since the last time; a lower count began again at zero."""
        added = counted - self.last if counted >= self.last else counted
        self.last = counted
        self.total += added
        return added


@dataclass
class HealthLine:
    """The log line of every half minute; `since` is the monotonic time its first rates count from.

    The processes count from their own start; a restart must neither make a rate
    negative nor hide what was dropped before it, so the sums are kept here.
    """

    consumers: tuple[str, ...]
    since: float
    _sums: dict[str, _Sum] = field(default_factory=dict)

    def facts(self, facts: Mapping[str, Facts], now: float) -> dict[str, object]:
        """Return the line's facts: rates since the last line, sums since the start, lags now."""
        span, self.since = max(now - self.since, 0.001), now
        reader, latest = facts.get("reader", {}), facts.get("latest", {})
        feeds: Mapping[str, Facts] = reader.get("feeds", {})
        frames = sum(self._added(f"{n} frames", feed["frames"]) for n, feed in feeds.items())
        size = sum(self._added(f"{n} bytes", feed["bytes"]) for n, feed in feeds.items())
        self._added("refused", reader.get("journal_refused", 0))
        self._added("segments", reader.get("journal_segments_dropped", 0))
        for name, feed in feeds.items():
            self._added(f"{name} reconnects", feed["reconnects"])
        return {
            "events_per_s": round(self._added("events", latest.get("events", 0)) / span, 1),
            "frames_per_s": round(frames / span, 1),
            "bytes_per_s": round(size / span),
            "bytes": sum(self._total(f"{name} bytes") for name in feeds),
            "reconnects": {name: self._total(f"{name} reconnects") for name in feeds},
            "journal_bytes": reader.get("journal_bytes", 0),
            "drops": self._total("refused") + self._total("segments"),
            "lag_bytes": {name: facts.get(name, {}).get("lag_bytes") for name in self.consumers},
            "skipped_bytes": {
                name: skipped
                for name in self.consumers
                if (skipped := facts.get(name, {}).get("skipped_bytes"))
            },
        }

    def _added(self, name: str, counted: float) -> float:
        return self._sums.setdefault(name, _Sum()).add(counted)

    def _total(self, name: str) -> int:
        return round(self._sums.setdefault(name, _Sum()).total)
