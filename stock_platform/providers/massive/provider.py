"""Massive as two providers: its REST API, and its flat files with keys of their own."""

from pydantic import SecretStr

from stock_platform.providers.factory import Capability, ProviderContext, Providers
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.bars import MassiveBars
from stock_platform.providers.massive.flat_files import FlatFiles, open_bucket
from stock_platform.providers.massive.quotes import MassiveQuotes
from stock_platform.providers.massive.reference import MassiveReference
from stock_platform.providers.transport.client import Endpoint
from stock_platform.settings import MassiveSettings, Settings


class Massive:
    """The REST API: minute and daily bars, quotes, reference data."""

    name = "massive"
    capabilities: frozenset[Capability] = frozenset({"minute", "daily", "quotes", "reference"})

    def is_configured(self, settings: Settings) -> bool:
        return bool(settings.massive.api_key.get_secret_value())

    def open(self, context: ProviderContext) -> Providers:
        settings = context.settings.massive
        http = context.http(rest_endpoint(settings), per_minute=settings.requests_per_minute)
        bars = MassiveBars(http, context.revision, clock=context.clock)
        return Providers(
            minute=[bars],
            daily=[bars],
            quotes=[MassiveQuotes(http, clock=context.clock)],
            reference=[MassiveReference(http, clock=context.clock)],
            requests_per_minute=settings.requests_per_minute,
        )


class MassiveFlatFiles:
    """The flat files: every symbol of a past session at once."""

    name = "massive_flatfiles"
    capabilities: frozenset[Capability] = frozenset({"session", "daily"})

    def is_configured(self, settings: Settings) -> bool:
        return bool(settings.massive.flatfiles_access_key.get_secret_value())

    def open(self, context: ProviderContext) -> Providers:
        settings = context.settings.massive
        bucket = open_bucket(
            settings.flatfiles_url,
            settings.flatfiles_bucket,
            access_key=settings.flatfiles_access_key,
            secret_key=settings.flatfiles_secret_key,
            retry=context.retry,
        )
        files = FlatFiles(bucket, context.settings.market.calendar(), clock=context.clock)
        return Providers(session=[files], daily=[files])


def rest_endpoint(settings: MassiveSettings) -> Endpoint:
    """Return the REST API's address and key."""
    key = SecretStr(f"Bearer {settings.api_key.get_secret_value()}")
    return Endpoint(
        provider="massive",
        url=settings.rest_url,
        keys={"Authorization": key},
        error_text=paging.error_text,
    )
