"""Open the providers that the settings configure."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from stock_platform.domain.sessions import Calendar
from stock_platform.errors import PermanentError
from stock_platform.providers import finnhub, rapidapi, secrets
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.bars import MassiveBars
from stock_platform.providers.massive.flat_files import FlatFiles, open_bucket
from stock_platform.providers.massive.quotes import MassiveQuotes
from stock_platform.providers.massive.reference import MassiveReference
from stock_platform.providers.rate_limit.limiter import RateLimitStore, SharedRateLimiter, to_rates
from stock_platform.providers.rate_limit.stores import open_store
from stock_platform.providers.sources import (
    DailySource,
    MinuteBarSource,
    QuoteSource,
    ReferenceSource,
    SessionSource,
)
from stock_platform.providers.transport.client import Endpoint, HttpClient, RetryPolicy, utc_now
from stock_platform.providers.transport.revision_policy import RevisionPolicy
from stock_platform.settings import (
    FinnhubSettings,
    HealingSettings,
    LakeSettings,
    MarketSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
    load,
)

NOT_CONFIGURED = (
    "no provider is configured: set MASSIVE_API_KEY (or POLYGON_API_KEY), "
    "MASSIVE_FLATFILES_ACCESS_KEY and MASSIVE_FLATFILES_SECRET_KEY, FINNHUB_API_KEY, "
    "or RAPIDAPI_KEY and RAPIDAPI_URL; name an AWS secret that holds them in "
    "STOCKS_SECRETS_FROM; or run `stocks simulate` and export what it prints"
)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Everything that decides which providers there are and how they are asked."""

    massive: MassiveSettings
    finnhub: FinnhubSettings
    rapid: RapidSettings
    requests: RequestSettings
    calendar: Calendar
    settle: timedelta
    lake: str = "./data"

    @classmethod
    def load(cls) -> Self:
        """Read the environment, and AWS Secrets Manager where it is named."""
        requests = load(RequestSettings)
        stored = secrets.fetch(requests)
        return cls(
            secrets.fill(load(MassiveSettings), stored),
            secrets.fill(load(FinnhubSettings), stored),
            secrets.fill(load(RapidSettings), stored),
            requests,
            load(MarketSettings).calendar(),
            timedelta(minutes=load(HealingSettings).settle_minutes),
            load(LakeSettings).lake,
        )

    @property
    def budget(self) -> str:
        """Where budgets are counted: as set, else in a hidden folder of a local lake."""
        if self.requests.budget:
            return self.requests.budget
        home = Path(tempfile.gettempdir()) if "://" in self.lake else Path(self.lake)
        return str(home / ".requests" / "budget.sqlite")


@dataclass(slots=True)
class Providers:
    """The configured sources, the preferred one of each kind first."""

    minute: list[MinuteBarSource] = field(default_factory=list)
    session: list[SessionSource] = field(default_factory=list)
    daily: list[DailySource] = field(default_factory=list)
    quotes: list[QuoteSource] = field(default_factory=list)
    reference: list[ReferenceSource] = field(default_factory=list)
    requests_per_minute: int = 0
    """Of the preferred source of minute bars; 0 is no limit."""


def is_configured() -> bool:
    """Whether the settings name any provider, or a secret that may; asks nobody."""
    if load(RequestSettings).secrets_from:
        return True
    massive, finnhub_, rapid = load(MassiveSettings), load(FinnhubSettings), load(RapidSettings)
    keys = (massive.api_key, massive.flatfiles_access_key, finnhub_.api_key, rapid.key)
    return any(key.get_secret_value() for key in keys)


@contextmanager
def open_providers(
    settings: ProviderSettings | None = None, *, clock: Callable[[], datetime] = utc_now
) -> Generator[Providers]:
    """Yield the sources that are configured; raise `Permanent` when none is."""
    settings = settings or ProviderSettings.load()
    with ExitStack() as stack:
        opening = _Opening(settings, stack, clock)
        for provider in (opening.massive, opening.flatfiles, opening.finnhub, opening.rapid):
            provider()
        if not opening.opened:
            raise PermanentError(NOT_CONFIGURED)
        yield opening.providers


@dataclass(slots=True)
class _Opening:
    settings: ProviderSettings
    stack: ExitStack
    clock: Callable[[], datetime]
    providers: Providers = field(default_factory=Providers)
    opened: bool = False
    store: RateLimitStore | None = None

    def massive(self) -> None:
        settings = self.settings.massive
        if not settings.api_key.get_secret_value():
            return
        http = self._http(
            Endpoint(
                "massive",
                settings.rest_url,
                {"Authorization": _bearer(settings.api_key)},
                paging.error_text,
            ),
            per_minute=settings.requests_per_minute,
        )
        bars = MassiveBars(http, self._settling(), clock=self.clock)
        self.providers.minute.append(bars)
        self.providers.daily.append(bars)
        self.providers.quotes.append(MassiveQuotes(http, clock=self.clock))
        self.providers.reference.append(MassiveReference(http, clock=self.clock))
        self.providers.requests_per_minute = settings.requests_per_minute

    def flatfiles(self) -> None:
        settings = self.settings.massive
        if not settings.flatfiles_access_key.get_secret_value():
            return
        bucket = open_bucket(
            settings.flatfiles_url,
            settings.flatfiles_bucket,
            access_key=settings.flatfiles_access_key,
            secret_key=settings.flatfiles_secret_key,
            patience=self._patience(),
        )
        files = FlatFiles(bucket, self.settings.calendar, clock=self.clock)
        self.providers.session.append(files)
        self.providers.daily.append(files)
        self.opened = True

    def finnhub(self) -> None:
        settings = self.settings.finnhub
        if not settings.api_key.get_secret_value():
            return
        http = self._http(
            Endpoint(
                "finnhub",
                settings.rest_url,
                {"X-Finnhub-Token": settings.api_key},
                finnhub.error_text,
            ),
            per_minute=settings.requests_per_minute,
            per_second=settings.requests_per_second,
        )
        at_once = self.settings.requests.max_concurrent_requests
        self.providers.quotes.append(finnhub.FinnhubQuotes(http, at_once=at_once, clock=self.clock))
        if settings.candles:
            candles = finnhub.FinnhubCandles(http, self._settling(), clock=self.clock)
            if not self.providers.minute:
                self.providers.requests_per_minute = settings.requests_per_minute
            self.providers.minute.append(candles)
            self.providers.daily.append(candles)

    def rapid(self) -> None:
        settings = self.settings.rapid
        if not settings.key.get_secret_value():
            return
        parts = urlsplit(settings.url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise PermanentError("RAPIDAPI_URL: expected https://... with {symbol} in it")
        keys = {
            "X-RapidAPI-Key": settings.key,
            "X-RapidAPI-Host": settings.host or parts.netloc,
        }
        http = self._http(
            Endpoint("rapidapi", f"{parts.scheme}://{parts.netloc}", keys, rapidapi.error_text),
            per_minute=settings.requests_per_minute,
        )
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.providers.quotes.append(
            rapidapi.RapidQuotes(
                http,
                path,
                settings.fields,
                rows=settings.rows,
                at_once=self.settings.requests.max_concurrent_requests,
                clock=self.clock,
            )
        )

    def _http(self, endpoint: Endpoint, *, per_minute: int = 0, per_second: int = 0) -> HttpClient:
        if self.store is None:
            self.store = open_store(self.settings.budget)
            self.stack.callback(self.store.close)
        budget = SharedRateLimiter(
            endpoint.provider,
            to_rates(per_minute=per_minute, per_second=per_second),
            self.store,
            wait_max_s=self.settings.requests.budget_wait_max_s,
        )
        requests = self.settings.requests
        http = HttpClient(
            endpoint,
            budget,
            patience=self._patience(),
            connections=requests.max_concurrent_requests,
            clock=self.clock,
        )
        self.opened = True
        return self.stack.enter_context(http)

    def _patience(self) -> RetryPolicy:
        requests = self.settings.requests
        return RetryPolicy(
            timeout_s=requests.request_timeout_s,
            attempts_max=requests.attempts_max,
            backoff_s=requests.retry_backoff_s,
            wait_max_s=requests.retry_wait_max_s,
        )

    def _settling(self) -> RevisionPolicy:
        return RevisionPolicy(self.settings.calendar, self.settings.settle)


def _bearer(key: SecretStr) -> SecretStr:
    return SecretStr(f"Bearer {key.get_secret_value()}")
