"""The sidecar's processes: planned from the settings, restarted when they die or hang."""

import multiprocessing
import re
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import structlog

from stock_platform.domain.sessions import Calendar
from stock_platform.errors import PlatformError
from stock_platform.settings import Settings, StreamSettings
from stock_platform.stream.feed import reader
from stock_platform.stream.feed.options import FeedOptions, ReaderOptions
from stock_platform.stream.sinks import installed, lake_bars, redis_latest, redis_streams
from stock_platform.stream.sinks.archive import sink
from stock_platform.stream.sinks.archive.sink import ArchiveOptions
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import StoreOptions
from stock_platform.stream.sinks.conflation import Lifetimes
from stock_platform.stream.sinks.lake_bars import BarsOptions
from stock_platform.stream.sinks.redis_latest import LatestOptions
from stock_platform.stream.sinks.redis_streams import QueueOptions

log = structlog.get_logger(__name__)
RESTART_S = 0.5
RESTART_MAX_S = 15.0
GOOD_AFTER_S = 30.0
HUNG_S = 60.0
HOURS_DAYS = 400
"""How far ahead the reader is given the market's hours; it gets new ones at every start."""
WRITER_HOST_MAX = 48
FEED_NAMES = ("realtime", "delayed")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(slots=True, kw_only=True)
class ManagedProcess:
    """One process that is kept running."""

    name: str
    main: Callable[[Any], None]
    options: object = field(repr=False)
    hung_s: float = HUNG_S
    """A status older than this means it hangs; 0: it writes one rarely."""
    restarts: int = 0
    process: SpawnProcess | None = None
    _started_at: float = 0.0
    _start_at: float = 0.0
    _wait_s: float = RESTART_S

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def ensure_running(self, now: float) -> None:
        """Start the process, or start it again some time after it died."""
        if self.alive:
            return
        if self.process is not None:
            code = self.process.exitcode
            self.process.close()
            self.process = None
            if now - self._started_at > GOOD_AFTER_S:
                self._wait_s = RESTART_S
            self._start_at = now + self._wait_s
            self._wait_s = min(RESTART_MAX_S, self._wait_s * 2)
            self.restarts += 1
            log.error("process_died", process=self.name, code=code)
        if now >= self._start_at:
            self.process = _SPAWN.Process(
                target=self.main, args=(self.options,), name=f"stocks-stream-{self.name}"
            )
            self.process.start()
            self._started_at = now

    def kill_hung(self, reported_at: float) -> None:
        """End a process whose status is older than any pause it is allowed."""
        last = max(reported_at, time.time() - (time.monotonic() - self._started_at))
        hung = 0 < self.hung_s < time.time() - last
        if self.alive and hung and self.process is not None:
            log.error("process_hung", process=self.name, silent_s=round(time.time() - last))
            self.process.kill()

    def stop(self, timeout_s: float) -> bool:
        """Terminate the process; kill it after `timeout_s`. Return whether it ended itself."""
        process = self.process
        if process is None:
            return True
        process.terminate()
        process.join(timeout_s)
        ended = process.exitcode is not None
        if not ended:
            log.error("process_killed", process=self.name, signal=signal.SIGKILL.name)
            process.kill()
            process.join()
        process.close()
        self.process = None
        return ended


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """The processes: the reader, a consumer of its journal for each sink, and the backfill."""

    reader: ManagedProcess
    consumers: list[ManagedProcess]
    others: list[ManagedProcess]

    @property
    def followers(self) -> list[ManagedProcess]:
        """Everything behind the journal."""
        return [*self.consumers, *self.others]


def plan_processes(settings: Settings, symbols: Sequence[str] | None) -> ProcessPlan:
    """Return the processes that the settings switch on, each with its options.

    `symbols` None means all. Raise `PermanentError` for a setting that is wrong.
    """
    stream = settings.stream
    latest = latest_options(stream, stream.journal_dir)
    consumers = [
        ManagedProcess(name=redis_latest.NAME, main=redis_latest.run_latest, options=latest)
    ]
    if stream.queue_enabled:
        consumers.append(
            ManagedProcess(
                name=redis_streams.NAME, main=redis_streams.run_queue, options=_queue(stream)
            )
        )
    if stream.s3_enabled:
        consumers.append(
            ManagedProcess(name=sink.NAME, main=sink.run_archive, options=_archive(stream))
        )
    if stream.stream_to_lake:
        bars = _bars(settings, symbols)
        consumers.append(ManagedProcess(name=lake_bars.NAME, main=lake_bars.run_bars, options=bars))
    consumers += _installed(stream)
    names = tuple(child.name for child in consumers)
    others = [_backfill(settings, symbols)] if stream.s3_enabled else []
    read = ManagedProcess(
        name=reader.NAME, main=reader.run_reader, options=_reader(stream, symbols, names)
    )
    return ProcessPlan(read, consumers, others)


def _installed(settings: StreamSettings) -> list[ManagedProcess]:
    contexts = [
        installed.SinkContext(
            name=name, journal=settings.journal_dir, feeds=FEED_NAMES, debug=settings.ws_debug
        )
        for name in settings.stream_sinks
    ]
    return [ManagedProcess(name=c.name, main=installed.run_installed, options=c) for c in contexts]


def symbols_to_subscribe(settings: Settings, today: date) -> tuple[str, ...] | None:
    """Return the configured symbols and, where set, those listed `today`; None for all."""
    stream = settings.stream
    configured = stream.polygon_ws_symbols
    if configured is None:
        return None
    symbols: list[str] = list(dict.fromkeys(configured))
    if stream.polygon_discover_tickers:
        known = set(symbols)
        symbols += [symbol for symbol in _listed(settings, today) if symbol not in known]
    limit = stream.polygon_ticker_limit
    return tuple(symbols[:limit] if limit else symbols)


def hostname() -> str:
    """Return the machine's own name, as part of object names.

    Readers of a data lake skip names that begin with a dot or an underscore.
    """
    return _NOT_IN_NAMES.sub("-", socket.gethostname()).lstrip("._-") or "host"


def writer(role: str) -> str:
    """Return the name of a writer of parts in the lake; a long host name is cut at its front."""
    return f"{role}-{hostname()[-WRITER_HOST_MAX:]}"


def _listed(settings: Settings, today: date) -> list[str]:
    from stock_platform.providers.registry import open_providers

    try:
        with open_providers(settings) as providers:
            return sorted(providers.reference[0].symbols(today)["symbol"].to_list())
    except (PlatformError, IndexError) as error:
        # The configured symbols still stream; a start must not depend on another service.
        log.warning("discovery_failed", reason=str(error))
        return []


def _reader(
    settings: StreamSettings, symbols: Sequence[str] | None, consumers: tuple[str, ...]
) -> ReaderOptions:
    return ReaderOptions(
        journal=settings.journal_dir,
        feeds=(
            FeedOptions(FEED_NAMES[0], settings.polygon_ws_host_realtime, ("AM", "FMV")),
            FeedOptions(FEED_NAMES[1], settings.polygon_ws_host_delayed, ("T", "Q")),
        ),
        api_key=settings.polygon_api_key.get_secret_value(),
        symbols=None if symbols is None else tuple(symbols),
        subscribe_batch=settings.polygon_subscribe_batch,
        backoff=(settings.backoff_initial_ms, settings.backoff_factor, settings.backoff_max_ms),
        segment_bytes=settings.journal_segment_bytes,
        journal_bytes_max=settings.journal_max_bytes,
        full_policy=settings.journal_full_policy,
        sync_s=settings.journal_sync_ms / 1000,
        ping_s=settings.ws_ping_sec,
        silence_s=settings.ws_silence_sec,
        channel_silence_s=settings.ws_channel_silence_sec,
        frame_bytes_max=settings.ws_frame_bytes_max,
        engine=settings.ws_engine,
        debug=settings.ws_debug,
        consumers=consumers,
        hours=market_hours(datetime.now(UTC).date()),
    )


def market_hours(today: date) -> tuple[tuple[int, int], ...]:
    """Return the regular sessions from yesterday on as (open, close) in epoch seconds."""
    calendar = Calendar()
    sessions = calendar.sessions(today - timedelta(days=1), today + timedelta(days=HOURS_DAYS))
    grids = [calendar.grid(session) for session in sessions]
    return tuple((int(g.opens_at.timestamp()), int(g.closes_at.timestamp())) for g in grids)


def latest_options(settings: StreamSettings, journal: Path) -> LatestOptions:
    """Return the options of the sink of newest values."""
    return LatestOptions(
        journal=journal,
        redis_url=settings.redis_url.get_secret_value(),
        redis_token=settings.redis_token.get_secret_value(),
        lifetimes=Lifetimes(
            agg1m_s=settings.agg1m_ttl_sec,
            fmv_s=settings.fmv_ttl_sec,
            trade_s=settings.trade_ttl_sec,
            quote_s=settings.quote_ttl_sec,
        ),
        flush_s=settings.redis_flush_ms / 1000,
        values_per_s=settings.redis_values_per_sec,
        publish=settings.redis_publish,
        debug=settings.ws_debug,
    )


def _queue(settings: StreamSettings) -> QueueOptions:
    return QueueOptions(
        journal=settings.journal_dir,
        redis_url=settings.redis_url.get_secret_value(),
        shards=settings.queue_shards,
        entries_max=settings.queue_entries_max,
        debug=settings.ws_debug,
    )


def _archive(settings: StreamSettings) -> ArchiveOptions:
    suffix = ".ndjson.zst" if settings.s3_zstd else ".ndjson"
    return ArchiveOptions(
        journal=settings.journal_dir,
        store=_store(settings),
        naming=Naming(settings.s3_prefix, hostname(), settings.s3_window_minutes, suffix),
        part_bytes=settings.s3_part_size_bytes,
        object_bytes_max=settings.s3_max_object_bytes,
        use_marker=settings.s3_use_marker,
        zstd=settings.s3_zstd,
        debug=settings.ws_debug,
    )


def _backfill(settings: Settings, symbols: Sequence[str] | None) -> ManagedProcess:
    # HTTP clients are imported only where a backfill runs.
    from stock_platform.stream.feed import backfill

    stream = settings.stream
    options = backfill.BackfillOptions(
        journal=stream.journal_dir,
        store=_store(stream),
        naming=Naming(stream.s3_prefix, hostname(), stream.s3_window_minutes),
        providers=settings,
        symbols=None if symbols is None else tuple(symbols),
        debug=stream.ws_debug,
    )
    return ManagedProcess(name=backfill.NAME, main=backfill.run_backfill, options=options, hung_s=0)


def _store(settings: StreamSettings) -> StoreOptions:
    return StoreOptions(settings.s3_bucket, settings.aws_region, settings.s3_endpoint_url)


def _bars(settings: Settings, symbols: Sequence[str] | None) -> BarsOptions:
    expected = settings.market.symbols
    covers = symbols is None or (expected is not None and set(expected) <= set(symbols))
    return BarsOptions(
        journal=settings.stream.journal_dir,
        lake=settings.lake,
        market=settings.market,
        writer=writer("sidecar"),
        feeds=FEED_NAMES,
        covers_market=covers,
        debug=settings.stream.ws_debug,
    )
