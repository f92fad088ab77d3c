"""What every source of market data promises, whatever its vendor.

A source returns a response or raises exactly one of `TransientError`, `PermanentError`,
`InvalidDataError` and `NotEntitledError`. It never returns a partial response as a whole
one: a response covers all that it declares, and rows that cannot be right are in
`rejected` with their reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import polars as pl

from stock_platform.domain import bars as bar
from stock_platform.domain import quotes as quote
from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import InvalidDataError, NotEntitledError, PermanentError, PlatformError


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyResponse:
    """A provider's word on the sessions `first` to `last`, both included.

    `symbols` None speaks of every symbol the provider lists. A session or symbol
    that is absent from `bars` did not trade, by this provider.
    """

    provider: str
    first: date
    last: date
    symbols: tuple[str, ...] | None
    asked_at: datetime
    revision: Revision
    bars: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=bar.DAILY_BARS))
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteResponse:
    """What one round of polling brought; every requested symbol is in exactly one place.

    `quotes` is a frame of `RAW_QUOTES`, `rejected` holds quotes that cannot be
    right, `absent` symbols were not in the response, `refused` are not in the plan
    and `failed` may be requested again later (`delay_s` when the provider named one).
    """

    provider: str
    minute: datetime
    asked_at: datetime
    quotes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=quote.RAW_QUOTES))
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    refused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    delay_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A day on which an exchange is closed or closes early, as announced."""

    day: date
    exchange: str
    name: str
    closed: bool
    opens_at: datetime | None = None
    closes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStatus:
    """Whether the market trades now (`open`, `closed`, `extended-hours`) and what is announced."""

    provider: str
    market: str
    said_at: datetime
    upcoming: tuple[Closure, ...] = ()


@runtime_checkable
class MinuteBarSource(Protocol):
    """Answers for a range of minutes of one symbol."""

    @property
    def name(self) -> str: ...

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        """Request the minutes `first` to `last` (starts, inclusive) of `session`.

        The answer's own `last` is earlier when the provider cannot know the
        newest minutes yet (still running, or a delayed plan).
        """
        ...


@runtime_checkable
class SessionSource(Protocol):
    """Answers for every symbol of a past session at once."""

    @property
    def name(self) -> str: ...

    def session_minute_bars(self, session: date, grid: MinuteGrid) -> ProviderResponse:
        """Return the minutes of `grid` for all symbols; `TransientError` before publication."""
        ...

    def fingerprint(self, session: date) -> str | None:
        """Return a text that changes when the session is published anew; None: not published."""
        ...


@runtime_checkable
class DailySource(Protocol):
    """Answers for daily bars, as traded."""

    @property
    def name(self) -> str: ...

    def daily_bars(self, session: date) -> DailyResponse:
        """Return one session of all symbols."""
        ...

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        """Return the sessions `first` to `last` of one symbol."""
        ...


@runtime_checkable
class QuoteSource(Protocol):
    """Answers with the present quotes of symbols."""

    @property
    def name(self) -> str: ...

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Request the quotes of `symbols` now and stamp them with `minute`.

        Raises only what concerns the whole round, such as a wrong key.
        """
        ...


@runtime_checkable
class ReferenceSource(Protocol):
    """Answers with listed symbols, corporate actions and the state of the market."""

    @property
    def name(self) -> str: ...

    def symbols(self, on: date) -> pl.DataFrame:
        """Return the symbols listed on a day, in `domain.reference.SYMBOLS`."""
        ...

    def splits(self, first: date, last: date) -> pl.DataFrame:
        """Return the splits executed on `first` to `last`, in `domain.reference.SPLITS`."""
        ...

    def dividends(self, first: date, last: date) -> pl.DataFrame:
        """Return the dividends with an ex-date on `first` to `last`, in `DIVIDENDS`."""
        ...

    def market_status(self) -> MarketStatus:
        """Return whether the market trades now and which closures are announced."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityDetails:
    """A provider's details of the security that has a symbol; right or wrong, as they came."""

    provider: str
    symbol: str
    listed_on: date | None = None
    delisted_on: date | None = None
    figi: str | None = None
    """Of the composite."""
    share_class_figi: str | None = None
    cik: str | None = None
    name: str | None = None


@runtime_checkable
class SecuritySource(Protocol):
    """Answers about securities beyond their symbols: an optional part of a `ReferenceSource`."""

    @property
    def name(self) -> str: ...

    def security(self, symbol: str, on: date) -> SecurityDetails | None:
        """Return the details of the security that has a symbol on a day; None: unknown."""
        ...

    def symbol_changes(self, identifier: str) -> pl.DataFrame:
        """Return the symbols a security (by FIGI or symbol) has had, each with its first day.

        Columns: symbol, changed_on; rising, without a row where the provider lists none.
        """
        ...


def failed_response(
    provider: str,
    session: date,
    symbols: tuple[str, ...] | None,
    *,
    first: datetime,
    last: datetime,
    asked_at: datetime,
    problem: PlatformError,
) -> ProviderResponse:
    """Put a problem into the form in which answers are recorded; it proves nothing empty."""
    return ProviderResponse(
        provider=provider,
        session=session,
        symbols=symbols,
        first=first,
        last=last,
        asked_at=asked_at,
        revision=Revision.REST,
        outcome="refused" if isinstance(problem, NotEntitledError) else "failed",
        detail=f"{_kind(problem)}: {problem}",
    )


def _kind(problem: PlatformError) -> str:
    kinds = {
        NotEntitledError: "refused",
        PermanentError: "permanent",
        InvalidDataError: "malformed",
    }
    return next((name for kind, name in kinds.items() if isinstance(problem, kind)), "transient")
