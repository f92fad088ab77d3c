"""A provider of your own: copy this file into your package and change Acme to your vendor.

Run its contract with `pytest provider.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import ClassVar

import polars as pl
import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stock_platform.domain import bars
from stock_platform.domain.rejections import reject
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import TransientError
from stock_platform.providers.factory import Capability, ProviderContext, Providers
from stock_platform.providers.rate_limit.limiter import RateLimiter
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import Endpoint, HttpClient
from stock_platform.providers.transport.revision_policy import RevisionPolicy
from stock_platform.settings import Settings, StocksSettings
from stock_platform.testing.loopback import ReceivedRequest, as_json, open_vendor
from stock_platform.testing.providers import MinuteBarContract, ProviderContract, SampleBar


class AcmeSettings(StocksSettings):
    """Acme: minute bars. ACME_API_KEY may also stand in the secret of STOCKS_SECRETS_FROM."""

    model_config = SettingsConfigDict(env_prefix="ACME_")

    api_key: SecretStr = SecretStr("")
    rest_url: str = "https://api.acme.example"
    requests_per_minute: int = 60


class Acme:
    """What the entry point names: a `ProviderFactory`."""

    name = "acme"
    capabilities: frozenset[Capability] = frozenset({"minute"})

    def is_configured(self, settings: Settings) -> bool:
        return bool(settings.of(AcmeSettings).api_key.get_secret_value())

    def open(self, context: ProviderContext) -> Providers:
        settings = context.settings.of(AcmeSettings)
        endpoint = Endpoint(
            provider=self.name, url=settings.rest_url, keys={"X-Acme-Key": settings.api_key}
        )
        # The client retries, counts requests over all processes and keeps the key out of errors.
        http = context.http(endpoint, per_minute=settings.requests_per_minute)
        return Providers(
            minute=[AcmeBars(http, context.revision, context.clock)],
            requests_per_minute=settings.requests_per_minute,
        )


class AcmeBars:
    """A `MinuteBarSource`."""

    name = "acme"

    def __init__(
        self, http: HttpClient, revision: RevisionPolicy, clock: Callable[[], datetime]
    ) -> None:
        self._http = http
        self._revision = revision
        self._clock = clock

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        """Return the minutes `first` to `last`; those not over yet are left out."""
        now = self._clock()
        last = min(last, (now - timedelta(minutes=1)).replace(second=0, microsecond=0))
        if last < first:
            delay_s = (first + timedelta(minutes=1) - now).total_seconds()
            raise TransientError("acme: the minutes are not over", delay_s=delay_s)
        revision = self._revision.of_minutes(session, now)
        span = {"from": int(first.timestamp()), "to": int(last.timestamp())}
        body = self._http.get_json("/bars", {"symbol": symbol, **span})
        rows = json_values.records(json_values.record(body, "bars").get("bars"), "bars")
        raw = pl.DataFrame(
            [json_values.numbers(rows, name) for name in ("open", "high", "low", "close", "volume")]
        ).with_columns(
            json_values.instants(row.get("at") for row in rows).alias("minute"),
            symbol=pl.lit(symbol),
            provider=pl.lit(self.name),
            revision=pl.lit(revision.value),
            observed_at=pl.lit(now),
        )
        # Rows that cannot be right are kept apart with their reason; they cost no other row.
        valid = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")
        inside = pl.col("minute").is_between(first, last)
        outside = reject(
            valid.bars.filter(~inside),
            "outside the minutes asked for",
            dataset="minute_bars",
            at=pl.col("minute"),
        )
        return ProviderResponse(
            provider=self.name,
            session=session,
            symbols=(symbol,),
            first=first,
            last=last,
            asked_at=now,
            revision=revision,
            bars=bars.merge(bars.MINUTE_BARS, valid.bars.filter(inside)),
            rejected=pl.concat([valid.rejected, outside]),
        )


class TestAcme(ProviderContract):
    """Each promise of a factory."""

    factory = Acme()
    variables: ClassVar = {"ACME_API_KEY": "any-key"}


class TestAcmeBars(MinuteBarContract):
    """Each promise of a source of minute bars, against a server that plays the vendor."""

    name = "acme"

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with open_vendor() as self.vendor, ExitStack() as self.clients:
            yield

    def source(self, now: datetime) -> AcmeBars:
        endpoint = Endpoint(
            provider="acme", url=self.vendor.url, keys={"X-Acme-Key": SecretStr("any-key")}
        )
        http = self.clients.enter_context(HttpClient(endpoint, Unlimited()))
        return AcmeBars(http, RevisionPolicy(Calendar()), lambda: now)

    def serve(self, bars: Sequence[SampleBar], *, all_of_them: bool = False) -> None:
        self.vendor.response = lambda request: as_json(
            f'{{"bars":[{",".join(_row(b) for b in bars if all_of_them or _is_in(b, request))}]}}'
        )

    def requests_sent(self) -> int:
        return len(self.vendor.received)


class Unlimited(RateLimiter):
    """A request budget without a limit."""

    def acquire(self) -> None: ...

    def pause(self, delay_s: float) -> None: ...


def _is_in(bar: SampleBar, request: ReceivedRequest) -> bool:
    return int(request.query["from"]) <= bar.at.timestamp() <= int(request.query["to"])


def _row(bar: SampleBar) -> str:
    return (
        f'{{"at":{int(bar.at.timestamp())},"open":{bar.open},"high":{bar.high},'
        f'"low":{bar.low},"close":{bar.close},"volume":{bar.volume}}}'
    )
