"""The script of a simulation: which market, which plan, which losses, which faults.

A script is YAML (or a dictionary). An unknown key or a wrong type is one clear
error that names its place, because a fault that silently does not happen makes
a test pass that proves nothing.
"""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from stock_platform.errors import InvalidDataError

Kind = TypeVar("Kind")
Vendor = Literal["massive", "flatfiles", "finnhub", "rapidapi"]
WallClock = str | int
"""New York time of day, "10:30"; YAML reads an unquoted 10:30 as the number 630, which is
the same minute and therefore accepted."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SplitEvent(_Part, frozen=True, kw_only=True):
    """A split of the synthetic market: 1 to 10 makes ten new shares of an old one."""

    symbol: str
    on: date
    split_from: float = 1.0
    split_to: float = 10.0


class SymbolLife(_Part, frozen=True, kw_only=True):
    """One time in which a security of the synthetic market has a symbol.

    Two lives of one security are a rename, two of one symbol a recycled ticker. What the vendor
    has wrong about it is set beside it; by default it is right.
    """

    symbol: str
    security: str = ""
    """Lives of the same name are one security, with one FIGI; empty: the symbol's own."""
    first: date | None = None
    """The first day on which it trades; none: always."""
    last: date | None = None
    """The first day on which it no longer trades; none: still."""
    figi: bool = True
    """False: the list and the details have no FIGI of it."""
    listed_from: date | None = None
    """The first day on which the list has it, where that is not `first`."""
    absent_on: tuple[date, ...] = ()
    """Days on which the list lacks it, though it trades."""
    list_date: date | None = None
    """What details give as its listing date, where that is not the security's first day."""
    changed_on: date | None = None
    """The day that events give for the change to this symbol, where that is not `first`."""


class SyntheticScenario(_Part, frozen=True, kw_only=True):
    """The seeded market. The same values give the same bytes, in any process."""

    seed: int = 1
    symbols: int | tuple[str, ...] = 500
    """How many, or which."""
    first: date = date(2026, 11, 12)
    last: date = date(2026, 11, 18)
    extended: bool = False
    """Also trade 04:00-09:30 and 16:00-20:00 New York."""
    volume: Literal["by_date", "integer", "fractional"] = "by_date"
    """by_date: fractional from 2026-02-23 on, as the real tape."""
    splits: tuple[SplitEvent, ...] | None = None
    """None: one 10-for-1 split on the middle session."""
    lives: tuple[SymbolLife, ...] = ()
    """Symbols that do not exist all the time: listings, renames, delistings, recycled tickers."""
    halts: float = 0.004
    """Part of the symbols halted for a while, per session."""
    late: float = 0.01
    """Part of the bars first sent with other values and sent again within 15 minutes."""
    rebuilt: float = 0.002
    """Part of the bars whose final values differ and are never sent again."""
    unsent: float = 0.0002
    """Part of the bars that only the end-of-day record holds."""


class ReplayScenario(_Part, frozen=True, kw_only=True):
    """Real bars from CSV files: symbol,ts_utc_ms,open,high,low,close,volume."""

    minute: tuple[str, ...] = ()
    """Files or folders of minute bars."""
    daily: tuple[str, ...] = ()
    """Files or folders of daily bars: symbol,date,open,... ; of two rows the first file's stays."""
    seed: int = 1
    late: float = 0.0
    rebuilt: float = 0.0
    unsent: float = 0.0


class MarketScenario(_Part, frozen=True, kw_only=True):
    """Exactly one of the two; neither means the synthetic market with its defaults."""

    synthetic: SyntheticScenario | None = None
    replay: ReplayScenario | None = None
    now: str = "end"
    """What REST believes the time to be: `end`, a day after the last session;
    `replay`, where the feed is; `wall`, the real time; or an instant in quotes,
    "2026-11-16T12:00:00-05:00"."""


class Keys(_Part, frozen=True, kw_only=True):
    """What the vendors accept. `flatfiles` is an access key; any secret will do."""

    massive: tuple[str, ...] = ("simulated-massive-key",)
    flatfiles: tuple[str, ...] = ("simulated-access-key",)
    finnhub: tuple[str, ...] = ("simulated-finnhub-key",)
    rapidapi: tuple[str, ...] = ("simulated-rapidapi-key",)


class Denial(_Part, frozen=True, kw_only=True):
    """What the plan does not cover: answered 403 in the vendor's own words."""

    vendor: Vendor = "massive"
    path: str = ".*"
    """Regular expression, found anywhere in the path."""
    first: date | None = None
    last: date | None = None
    """Only requests that touch these days are denied; both open: every request."""


class Limit(_Part, frozen=True, kw_only=True):
    """Requests allowed in any `per_s` seconds, 429 above."""

    vendor: Vendor
    requests: int
    per_s: float = 60.0
    path: str = ".*"


class Plan(_Part, frozen=True, kw_only=True):
    status: Literal["OK", "DELAYED"] = "OK"
    denied: tuple[Denial, ...] = ()
    limits: tuple[Limit, ...] = ()
    connections_max: int = 2
    """WebSocket connections of one key over both Massive hosts. The vendor's plain plan has 1."""
    evict: Literal["newest", "oldest", "random"] = "newest"
    """Which connection dies when there is one too many; the vendor's choice is not predictable."""
    refused_channels: tuple[str, ...] = ()
    """Channel letters answered `not authorized`, e.g. Q."""
    subscriptions_max: int = 0
    """Channels held at a time, 0 = no limit."""
    finnhub_symbols_max: int = 50
    finnhub_candles: bool = True


class Fault(_Part, frozen=True, kw_only=True):
    """Something wrong with the answers of REST or of the bucket."""

    kind: Literal[
        "too_many_requests",
        "server_error",
        "html",
        "truncated_gzip",
        "looping_next_url",
        "foreign_next_url",
        "malformed",
        "absurd",
        "slow",
        "reset",
        "cut",
        "empty_body",
        "forbidden",
        "not_found",
        "error_object",
        "quota",
        "zero_quote",
        "no_data",
    ]
    vendor: Vendor = "massive"
    path: str = ".*"
    """Regular expression, found anywhere in the path."""
    after: int = 0
    """Leave the first so many matching requests alone."""
    count: int | None = None
    """Strike so many times, then never again; None: always."""
    probability: float = 1.0
    status: int = 502
    """Of server_error."""
    body: Literal["vendor", "empty", "html"] = "vendor"
    retry_after_s: float | None = None
    delay_s: float = 5.0
    """Of slow."""
    values: tuple[Literal["nan", "negative", "huge", "text", "upside_down", "unaligned"], ...] = (
        "nan",
        "negative",
        "huge",
        "text",
        "upside_down",
        "unaligned",
    )
    """Of absurd: what happens to the first rows, one each in turn."""


class ScriptedOutage(_Part, frozen=True, kw_only=True):
    """Minutes [at, at + minutes) that the live feed does not bring."""

    session: date
    at: WallClock
    minutes: int
    kind: Literal["close_1000", "close_1001", "reset", "silent", "closed_1011"] = "reset"
    """How the connection ends; silent: it stays open and brings nothing."""


class Drop(_Part, frozen=True, kw_only=True):
    """Symbol-minutes the feed never sends: a seeded fraction, or exactly these."""

    fraction: float = 0.0
    session: date | None = None
    """None: every session."""
    symbols: tuple[str, ...] = ()
    minutes: tuple[WallClock, ...] = ()


class FlatFile(_Part, frozen=True, kw_only=True):
    """A change in the life of one session's flat files."""

    session: date
    published: Literal["on_time", "early", "no", "forbidden"] = "on_time"
    """on_time: from 11:00 New York on the next day; early: once the session has closed;
    forbidden: it is listed, but reading it gives 403."""
    since: str = ""
    """The instant of the simulation's time from which this change holds; empty: always. Of
    several changes of a session the last that holds counts."""
    version: int = 1
    """Another number is another file under the same key: other ETag, some values corrected."""
    truncated: bool = False


class Feed(_Part, frozen=True, kw_only=True):
    """The live feed: what is replayed, how fast, and what gets lost or bent."""

    sessions: tuple[date, ...] | None = None
    """None: all of the market's, in order."""
    speed: Literal["max"] | float = "max"
    """max: minute by minute as fast as the readers take it; a number: times real time."""
    start: Literal["subscribed", "at_once", "told"] = "subscribed"
    """When the replay begins; told: by POST /_simulator/start."""
    wait_for: int = 1
    """With `subscribed`: how many subscribed connections the replay needs to begin."""
    from_minute: WallClock | None = None
    """Start the first session here instead of at its first minute."""
    events_per_frame: int = 200
    delay_minutes: int = 15
    """Of the delayed host, at a numeric speed."""
    trades_per_minute_max: int = 4
    quotes_per_minute_max: int = 4
    outages: tuple[ScriptedOutage, ...] = ()
    drops: tuple[Drop, ...] = ()
    lost_sessions: tuple[date, ...] = ()
    frames_dropped: float = 0.0
    """Seeded part of whole data frames that never leave, without any sign."""
    batch_statuses: bool = True
    """False: one frame per channel acknowledgement."""
    status_with_data: bool = False
    """Put a status object into the same array as data, now and then."""
    decimal_volumes: bool = True
    """Send dv and dav beside v and av."""
    extra_keys: bool = False
    unknown_events: bool = False
    time_unit: Literal["ms", "us", "ns"] = "ms"
    """Of `t` in T, Q and FMV; s and e of bars stay ms."""
    fragments: int = 1
    """WebSocket fragments a data frame is cut into."""
    invalid_utf8_every: int = 0
    """Send an extra frame that is not UTF-8 after every so many data frames; 0: never."""
    oversized_every: int = 0
    """Add an unknown event of `oversized_bytes` to every so many data frames; 0: never."""
    oversized_bytes: int = 2_000_000
    auth_timeout_s: float = 10.0
    slow_reader_bytes: int = 64_000_000
    """Unsent bytes at which a reader is sent slow_consumer and cut off. At speed max the feed
    waits for its readers and gets here only when this is small."""
    close_after_frames: int = 0
    """Strike a connection after so many data frames, once for each of `close_count`."""
    close_kind: Literal["close_1000", "close_1001", "closed_1011", "reset", "silent"] = "reset"
    close_count: int = 1


class Scenario(_Part, frozen=True, kw_only=True):
    """A whole simulation."""

    market: MarketScenario = MarketScenario()
    keys: Keys = Keys()
    plan: Plan = Plan()
    feed: Feed = Feed()
    faults: tuple[Fault, ...] = ()
    flatfiles: tuple[FlatFile, ...] = ()


def load_scenario(source: Scenario | Path | str | dict[str, Any] | None) -> Scenario:
    """Read a script from a path, YAML text, a dictionary, or pass one through.

    Raise `Malformed` naming the key that is unknown or wrong.
    """
    if source is None:
        return Scenario()
    if isinstance(source, Scenario):
        return source
    if isinstance(source, Path):
        source = source.read_text()
    try:
        content = yaml.safe_load(source) if isinstance(source, str) else source
        return convert(content or {}, Scenario)
    except yaml.YAMLError as error:
        raise InvalidDataError(f"the script is not YAML: {error}") from error


def convert(content: object, kind: type[Kind]) -> Kind:
    """Read one part of a script from plain values; raise `Malformed` saying where it is wrong."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"the script is wrong: {error}") from error


def minute_of_day(clock: WallClock) -> int:
    """Return minutes since New York midnight of "10:30" (or of the 630 that YAML made of it)."""
    if isinstance(clock, int):
        return clock
    try:
        at = time.fromisoformat(clock)
    except ValueError as error:
        raise InvalidDataError(f"the script has no time of day {clock!r}: {error}") from error
    return at.hour * 60 + at.minute


def instant_of(text: str) -> datetime:
    """Read an instant with an offset; raise `Malformed` for anything else."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidDataError(f"the script has no instant {text!r}: {error}") from error
    if instant.tzinfo is None:
        raise InvalidDataError(f"the script's instant {text!r} needs an offset from UTC")
    return instant.astimezone(UTC)


def seed_of(scenario: Scenario) -> int:
    """Return the seed that everything random in a simulation starts from."""
    market = scenario.market
    return (market.replay or market.synthetic or SyntheticScenario()).seed
