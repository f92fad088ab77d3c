"""Heal the gaps of trades and quotes from REST, where the plan allows it.

Each gap of the manifest becomes one object per channel beside the live parts,
under `backfill=` instead of `part=`. It may hold a second of events that the
live parts hold too: `sym`, `x`, `i` name a trade, `sym`, `t`, `q` a quote.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote as quoted

import msgspec
import structlog

from stock_platform.errors import NotEntitledError, PermanentError, PlatformError, TransientError
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.provider import rest_endpoint
from stock_platform.providers.rate_limit import budget_location, open_store
from stock_platform.providers.rate_limit.limiter import SharedRateLimiter, to_rates
from stock_platform.providers.transport.client import HttpClient
from stock_platform.settings import Settings
from stock_platform.stream import runtime, status
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.gaps import FeedOutage
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import (
    ArchiveStore,
    KeyExistsError,
    StoreOptions,
    UploadNotFoundError,
)
from stock_platform.stream.sinks.redis_values import number

log = structlog.get_logger(__name__)
NAME = "backfill"
LOOK_S = 10.0
MARGIN_MS = 1_000
OUTAGE_MS_MAX = 8 * 3_600_000
"""A longer outage is a matter for flat files, not for thousands of calls."""
OBJECT_BYTES_MAX = 1 << 30
PAGE_ROWS = 50_000
_PATHS = {"T": "/v3/trades", "Q": "/v3/quotes"}
Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """Everything the backfill process is given."""

    journal: Path
    store: StoreOptions
    naming: Naming
    providers: Settings = field(repr=False)
    symbols: tuple[str, ...] | None
    debug: bool = False


@dataclass(slots=True, kw_only=True)
class Backfill:
    """Works through the manifest from where the last run ended."""

    options: BackfillOptions
    http: HttpClient
    store: ArchiveStore
    healed: int = 0
    refused: int = 0
    passed_over: int = 0
    error: str = ""

    def work(self) -> None:
        """Heal every gap not yet handled; stop at the first that must be tried again."""
        journal = self.options.journal
        saved = checkpoints.load(journal, NAME)
        done = saved.generation if saved else 0
        for gap in gaps.read(journal, done):
            try:
                self._heal(gap)
            except TransientError as error:
                self.error = str(error)
                return
            except PlatformError as error:
                self.refused += 1
                log.error("gap_not_healed", feed=gap.feed, reason=str(error))
            done += 1
            # No offset of the journal: this one reads the manifest and holds no segment back.
            checkpoints.save(journal, NAME, checkpoints.Checkpoint(0, generation=done))
        self.error = ""

    def report(self, *, stopped: bool) -> None:
        facts = {
            "stopped": stopped,
            "healed": self.healed,
            "refused": self.refused,
            "passed_over": self.passed_over,
            "trouble": self.error,
        }
        status.save(self.options.journal, NAME, facts)

    def _heal(self, gap: FeedOutage) -> None:
        channels = [channel for channel in gap.channels if channel in _PATHS]
        if not channels:
            return
        first, last = span_ms(gap)
        if self.options.symbols is None or last - first > OUTAGE_MS_MAX:
            self.passed_over += 1
            log.warning("gap_passed_over", feed=gap.feed, ms=last - first)
            return
        for channel in channels:
            key = self._key(channel, gap, (first, last))
            events = self._fetch(channel, first, last)
            if events:
                self._put(key)
            self._fetched.unlink()
            log.info("gap_healed", channel=channel, events=events, key=key)
        self.healed += 1

    @property
    def _fetched(self) -> Path:
        return self.options.journal / "spool" / "backfill.ndjson"

    def _fetch(self, channel: str, first: int, last: int) -> int:
        """Write a channel's events to local disk, never into memory; return how many."""
        self._fetched.parent.mkdir(parents=True, exist_ok=True)
        count = size = 0
        with self._fetched.open("wb") as file:
            for line in self._lines(channel, first, last):
                size += file.write(line)
                count += 1
                if size > OBJECT_BYTES_MAX:
                    raise PermanentError(f"the gap holds more than {OBJECT_BYTES_MAX} bytes")
        return count

    def _lines(self, channel: str, first: int, last: int) -> Iterator[bytes]:
        now = int(datetime.now(UTC).timestamp() * 1000)
        bounds = {
            "timestamp.gte": str(first * 1_000_000),
            "timestamp.lt": str(last * 1_000_000),
            "order": "asc",
            "limit": PAGE_ROWS,
        }
        to_event = to_trade if channel == "T" else to_quote
        for symbol in self.options.symbols or ():
            path = f"{_PATHS[channel]}/{quoted(symbol, safe='')}"
            try:
                for page in paging.pages(self.http, path, bounds):
                    for row in paging.results(page):
                        event = {**to_event(symbol, row), "ingestTs": now}
                        yield msgspec.json.encode(event) + b"\n"
            except NotEntitledError as error:
                raise NotEntitledError(
                    f"the plan has no history of channel {channel}: {error}"
                ) from error

    def _put(self, key: str) -> None:
        try:
            self.store.put(key, self._fetched, NAME)
        except KeyExistsError:
            # An earlier run was cut off after this: the same gap has the same name.
            log.info("backfill_was_there", key=key)
        except UploadNotFoundError as error:
            # A conflict of two requests, not a refusal of the gap: it must be tried again.
            raise TransientError(f"the archive did not take {key}: {error}") from error

    def _key(self, channel: str, gap: FeedOutage, span: tuple[int, int]) -> str:
        # Beside the live parts, which lie by the time of receipt; named by the events' own.
        naming = self.options.naming
        folder = naming.folder(channel, naming.window_of(gap.last_received)).rpartition("/")[0]
        label = f"backfill={_stamp(span[0])}-{_stamp(span[1])}"
        return f"{folder}/{label}/{naming.hostname}-seq=000001.ndjson"


def span_ms(gap: FeedOutage) -> tuple[int, int]:
    """Return the time of the events to request, a second wider than the gap on both sides.

    The time in the events counts, not ours: a delayed feed brings what happened
    15 minutes ago.
    """
    first = gap.last_event or gap.last_received
    last = gap.first_event or gap.first_received
    return first - MARGIN_MS, max(first, last) + MARGIN_MS


def to_trade(symbol: str, row: Row) -> Row:
    """Return a REST trade under the names of the feed."""
    event = {
        "ev": "T",
        "sym": symbol,
        "x": row.get("exchange"),
        "i": row.get("id"),
        "z": row.get("tape"),
        "p": _number(row.get("price")),
        "s": _number(row.get("size")),
        "ds": row.get("decimal_size"),
        "c": row.get("conditions"),
        "t": _ms(row.get("sip_timestamp")),
        "q": row.get("sequence_number"),
        "trfi": row.get("trf_id"),
        "trft": _ms(row.get("trf_timestamp")),
    }
    return {name: value for name, value in event.items() if value is not None}


def to_quote(symbol: str, row: Row) -> Row:
    """Return a REST quote under the names of the feed."""
    conditions = row.get("conditions")
    event = {
        "ev": "Q",
        "sym": symbol,
        "bx": row.get("bid_exchange"),
        "bp": _number(row.get("bid_price")),
        "bs": _number(row.get("bid_size")),
        "ax": row.get("ask_exchange"),
        "ap": _number(row.get("ask_price")),
        "as": _number(row.get("ask_size")),
        "c": conditions[0] if isinstance(conditions, Sequence) and conditions else None,
        "i": row.get("indicators"),
        "t": _ms(row.get("sip_timestamp")),
        "q": row.get("sequence_number"),
        "z": row.get("tape"),
    }
    return {name: value for name, value in event.items() if value is not None}


def _number(value: object) -> object:
    """Return a number as the feed has it; REST's fractions come as text, to keep every digit."""
    return (number(value, None) or value) if isinstance(value, str) else value


def _ms(nanoseconds: object) -> int | None:
    return nanoseconds // 1_000_000 if isinstance(nanoseconds, int) else None


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y%m%d_%H%M%S")


def open_http(providers: Settings) -> tuple[HttpClient, Callable[[], None]]:
    """Open Massive's REST side on the budget all processes share."""
    massive = providers.massive
    store = open_store(budget_location(providers))
    budget = SharedRateLimiter(
        "massive", to_rates(per_minute=massive.requests_per_minute), store, wait_max_s=120.0
    )
    return HttpClient(rest_endpoint(massive), budget), store.close


def run_backfill(options: BackfillOptions) -> None:
    """Run the backfill process until SIGTERM or the death of the supervisor."""
    runtime.configure_logs(debug=options.debug)
    http, close = open_http(options.providers)
    backfill = Backfill(options=options, http=http, store=ArchiveStore(options.store))
    stop = threading.Event()
    with http:
        for _ in runtime.run_until_stopped(stop, LOOK_S):
            backfill.work()
            backfill.report(stopped=False)
    backfill.report(stopped=True)
    close()
