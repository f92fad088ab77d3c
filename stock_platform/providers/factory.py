"""How a provider joins the platform: the contract of the entry-point group, and what it is given.

A factory is registered under `stock_platform.providers`; the platform's own are one too
(see `registry`). It names itself and what it can bring, decides from the settings whether
it is used, and opens its sources with what the platform shares: clients that draw on one
request budget, the retry policy and the clock.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

from stock_platform.domain.revision import of_record, vendor
from stock_platform.providers.rate_limit import budget_location, open_store
from stock_platform.providers.rate_limit.limiter import RateLimitStore, SharedRateLimiter, to_rates
from stock_platform.providers.sources import (
    DailySource,
    MinuteBarSource,
    QuoteSource,
    ReferenceSource,
    SessionSource,
)
from stock_platform.providers.transport.client import Endpoint, HttpClient, RetryPolicy, utc_now
from stock_platform.providers.transport.revision_policy import RevisionPolicy
from stock_platform.settings import Settings

Capability = Literal["minute", "session", "daily", "quotes", "reference"]
Record = Literal["minute", "daily"]
"""What there is a record of: minute bars, by call or by file of a session, and daily bars."""
_RECORDS: dict[Record, tuple[Capability, ...]] = {
    "minute": ("minute", "session"),
    "daily": ("daily",),
}
SOURCES: dict[Capability, type] = {
    "minute": MinuteBarSource,
    "session": SessionSource,
    "daily": DailySource,
    "quotes": QuoteSource,
    "reference": ReferenceSource,
}
"""The contract of each kind of source."""
CAPABILITIES: tuple[Capability, ...] = tuple(SOURCES)


@dataclass(slots=True, kw_only=True)
class Providers:
    """Opened sources by capability, the preferred one of each kind first."""

    minute: list[MinuteBarSource] = field(default_factory=list)
    session: list[SessionSource] = field(default_factory=list)
    daily: list[DailySource] = field(default_factory=list)
    quotes: list[QuoteSource] = field(default_factory=list)
    reference: list[ReferenceSource] = field(default_factory=list)
    requests_per_minute: int = 0
    """Of the preferred source of minute bars; 0 is no limit."""
    record: dict[Record, frozenset[str]] = field(default_factory=dict)
    """The names of the sources of record, as far as it is known how they were opened."""

    def capabilities(self) -> set[Capability]:
        """Return the kinds for which there is a source."""
        return {kind for kind in CAPABILITIES if getattr(self, kind)}

    def sources_of_record(self, kind: Record) -> frozenset[str]:
        """Return the names of the sources whose response is the record of `kind` of bars.

        It is the vendor that comes first in the configured order and has such bars, with
        every source it has. Every other source only fills what that one does not give.
        """
        return self.record.get(kind) or self._preferred(kind)

    def _names(self, kind: Record) -> frozenset[str]:
        lists = [getattr(self, capability) for capability in _RECORDS[kind]]
        return frozenset(source.name for sources in lists for source in sources)

    def _preferred(self, kind: Record) -> frozenset[str]:
        lists = [getattr(self, capability) for capability in _RECORDS[kind]]
        leading = of_record({vendor(sources[0].name) for sources in lists if sources})
        return frozenset(name for name in self._names(kind) if vendor(name) in leading)

    def extend(self, other: "Providers") -> None:
        """Put the sources of `other`, which one factory opened, behind those that are here."""
        if not self.minute:
            self.requests_per_minute = other.requests_per_minute
        for record in _RECORDS:
            known, names = self.record.get(record, frozenset[str]()), other._names(record)
            if not known or {*map(vendor, names)} & {*map(vendor, known)}:
                self.record[record] = known | names
        for kind in CAPABILITIES:
            getattr(self, kind).extend(getattr(other, kind))


@runtime_checkable
class ProviderFactory(Protocol):
    """A provider of market data, not yet opened."""

    @property
    def name(self) -> str:
        """Return the name that its rows, its errors and its request budget carry."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return everything it may bring, whatever the settings."""
        ...

    def is_configured(self, settings: Settings) -> bool:
        """Return whether the settings hold its keys; opens nothing."""
        ...

    def open(self, context: "ProviderContext") -> Providers:
        """Open its sources; raise `PermanentError` naming the setting that is wrong.

        Called only when it is configured. What must be closed goes to `context.stack`;
        clients from `context.http` are closed by the platform.
        """
        ...


@dataclass(slots=True, kw_only=True)
class ProviderContext:
    """What the platform shares with every provider it opens."""

    settings: Settings
    stack: ExitStack
    clock: Callable[[], datetime] = utc_now
    _store: RateLimitStore | None = None

    @property
    def retry(self) -> RetryPolicy:
        """Return how long a call may take and how often it is repeated."""
        requests = self.settings.requests
        return RetryPolicy(
            timeout_s=requests.request_timeout_s,
            attempts_max=requests.attempts_max,
            backoff_s=requests.retry_backoff_s,
            wait_max_s=requests.retry_wait_max_s,
        )

    @property
    def revision(self) -> RevisionPolicy:
        """Return when a REST response is final."""
        settle = timedelta(minutes=self.settings.healing.settle_minutes)
        return RevisionPolicy(self.settings.market.calendar(), settle)

    def limiter(
        self, provider: str, *, per_minute: int = 0, per_second: int = 0
    ) -> SharedRateLimiter:
        """Return the request budget of an account, counted over all processes; 0 is no limit."""
        if self._store is None:
            self._store = open_store(budget_location(self.settings))
            self.stack.callback(self._store.close)
        rates = to_rates(per_minute=per_minute, per_second=per_second)
        wait_max_s = self.settings.requests.budget_wait_max_s
        return SharedRateLimiter(provider, rates, self._store, wait_max_s=wait_max_s)

    def http(self, endpoint: Endpoint, *, per_minute: int = 0, per_second: int = 0) -> HttpClient:
        """Return a client of `endpoint` that draws on its provider's request budget.

        context.http(Endpoint("acme", url, {"X-Key": key}), per_minute=60)
        """
        client = HttpClient(
            endpoint,
            self.limiter(endpoint.provider, per_minute=per_minute, per_second=per_second),
            retry=self.retry,
            connections=self.settings.requests.max_concurrent_requests,
            clock=self.clock,
        )
        return self.stack.enter_context(client)
