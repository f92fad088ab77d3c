"""Settings into what each process is told."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from stock_platform.domain.sessions import Calendar
from stock_platform.errors import PlatformError
from stock_platform.settings import LakeSettings, MarketSettings, StreamSettings, load
from stock_platform.stream.feed import reader
from stock_platform.stream.options import FeedOptions, ReaderOptions
from stock_platform.stream.processes import ManagedProcess
from stock_platform.stream.sinks import lake_bars, redis_latest, redis_streams
from stock_platform.stream.sinks.archive import sink
from stock_platform.stream.sinks.archive.sink import ArchiveOptions
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import StoreOptions
from stock_platform.stream.sinks.conflation import Lifetimes
from stock_platform.stream.sinks.lake_bars import BarsOptions
from stock_platform.stream.sinks.redis_latest import LatestOptions
from stock_platform.stream.sinks.redis_streams import QueueOptions

log = structlog.get_logger(__name__)
HOURS_DAYS = 400
"""How far ahead the reader knows when the market is open; it is told anew at every start."""
WRITER_HOST_MAX = 48
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Plan:
    """The processes, the reader first."""

    reader: ManagedProcess
    consumers: list[ManagedProcess]
    others: list[ManagedProcess]

    @property
    def followers(self) -> list[ManagedProcess]:
        """Everything behind the journal."""
        return [*self.consumers, *self.others]


def make_plan(settings: StreamSettings, symbols: Sequence[str] | None) -> Plan:
    """Decide which processes there are and what each is told."""
    consumers = [
        ManagedProcess(
            redis_latest.NAME,
            redis_latest.run_latest,
            latest_options(settings, settings.journal_dir),
        )
    ]
    if settings.queue_enabled:
        consumers.append(
            ManagedProcess(redis_streams.NAME, redis_streams.run_queue, _queue(settings))
        )
    if settings.s3_enabled:
        consumers.append(ManagedProcess(sink.NAME, sink.run_archive, _archive(settings)))
    if settings.stream_to_lake:
        consumers.append(ManagedProcess(lake_bars.NAME, lake_bars.run_bars, _bars(settings, symbols)))
    names = tuple(child.name for child in consumers)
    others = []
    if settings.s3_enabled:
        options = _backfill(settings, symbols)
        others.append(ManagedProcess("backfill", _run_backfill, options, hung_s=0))
    read = ManagedProcess(reader.NAME, reader.run_reader, _reader(settings, symbols, names))
    return Plan(read, consumers, others)


def _run_backfill(options: object) -> None:
    # Its HTTP client is loaded in its own process only.
    from stock_platform.stream.feed import backfill

    backfill.run_backfill(options)  # type: ignore[arg-type]


def symbols_to_subscribe(settings: StreamSettings, today: date) -> tuple[str, ...] | None:
    """Return the configured symbols and, when wanted, the listed ones; None for all."""
    configured = settings.polygon_ws_symbols
    if configured is None:
        return None
    symbols: list[str] = list(dict.fromkeys(configured))
    if settings.polygon_discover_tickers:
        known = set(symbols)
        symbols += [symbol for symbol in _listed(today) if symbol not in known]
    limit = settings.polygon_ticker_limit
    return tuple(symbols[:limit] if limit else symbols)


def hostname() -> str:
    """Name this machine as objects are named after it: as it calls itself.

    Readers of a data lake pass over names that begin with a dot or an underscore.
    """
    return _NOT_IN_NAMES.sub("-", socket.gethostname()).lstrip("._-") or "host"


def writer(role: str) -> str:
    """Name the writer of parts in the lake; of a long host name the end tells pods apart."""
    return f"{role}-{hostname()[-WRITER_HOST_MAX:]}"


def _listed(today: date) -> list[str]:
    from stock_platform.providers.registry import open_providers

    try:
        with open_providers() as providers:
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
            FeedOptions("realtime", settings.polygon_ws_host_realtime, ("AM", "FMV")),
            FeedOptions("delayed", settings.polygon_ws_host_delayed, ("T", "Q")),
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
    """Tell the latest consumer which journal it reads, and what the settings say."""
    return LatestOptions(
        journal=journal,
        redis_url=settings.redis_url.get_secret_value(),
        redis_token=settings.redis_token.get_secret_value(),
        lifetimes=Lifetimes(
            settings.agg1m_ttl_sec,
            settings.fmv_ttl_sec,
            settings.trade_ttl_sec,
            settings.quote_ttl_sec,
        ),
        flush_s=settings.redis_flush_ms / 1000,
        values_per_s=settings.redis_values_per_sec,
        publish=settings.redis_publish,
        debug=settings.ws_debug,
    )


def _queue(settings: StreamSettings) -> QueueOptions:
    return QueueOptions(
        settings.journal_dir,
        settings.redis_url.get_secret_value(),
        settings.queue_shards,
        settings.queue_entries_max,
        settings.ws_debug,
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


def _backfill(settings: StreamSettings, symbols: Sequence[str] | None) -> object:
    from stock_platform.providers.registry import ProviderSettings
    from stock_platform.stream.feed.backfill import BackfillOptions

    return BackfillOptions(
        journal=settings.journal_dir,
        store=_store(settings),
        naming=Naming(settings.s3_prefix, hostname(), settings.s3_window_minutes),
        providers=ProviderSettings.load(),
        symbols=None if symbols is None else tuple(symbols),
        debug=settings.ws_debug,
    )


def _store(settings: StreamSettings) -> StoreOptions:
    return StoreOptions(settings.s3_bucket, settings.aws_region, settings.s3_endpoint_url)


def _bars(settings: StreamSettings, symbols: Sequence[str] | None) -> BarsOptions:
    market = load(MarketSettings)
    expected = market.symbols
    covers = symbols is None or (expected is not None and set(expected) <= set(symbols))
    return BarsOptions(
        journal=settings.journal_dir,
        lake=load(LakeSettings),
        market=market,
        writer=writer("sidecar"),
        feeds=("realtime", "delayed"),
        covers_market=covers,
        debug=settings.ws_debug,
    )
