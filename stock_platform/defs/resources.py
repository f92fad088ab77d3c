"""What the assets work with: the lake, the providers, a healer over both, and the sidecar.

No resource holds a secret in its configuration: keys come from the environment
or AWS Secrets Manager when a run opens its providers, so that run config, the
event log and the UI never show one.
"""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from stock_platform.components.duckdb import LakeDuckDB
from stock_platform.components.secrets import SecretsResource
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Healer, Log
from stock_platform.pipelines.sidecar_status import SidecarStatus, fetch_status
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.settings import LakeSettings, Settings


class LakeResource(dg.ConfigurableResource):
    """The lake: a folder or an S3 prefix."""

    location: str = Field("", description="a folder or s3://bucket/prefix; empty: STOCKS_LAKE")

    def store(self, settings: Settings | None = None) -> ObjectStore:
        """Open the lake; cheap to repeat."""
        return open_store(self._where(settings or SecretsResource().settings()))

    def context(self, settings: Settings | None = None) -> LakeContext:
        """Return the lake with the settings that decide what it should hold.

        A body that needs other settings too reads them once and hands them down; without
        them the environment and the stored secrets are read here.
        """
        settings = settings or SecretsResource().settings()
        return LakeContext.from_settings(settings, store=self.store(settings))

    def _where(self, settings: Settings) -> LakeSettings:
        if not self.location:
            return settings.lake
        return settings.lake.model_copy(update={"lake": self.location})


class ProvidersResource(dg.ConfigurableResource):
    """The market-data providers that the settings configure."""

    @contextmanager
    def open(self, settings: Settings | None = None) -> Generator[Providers]:
        """Yield the configured providers; their keys travel in headers only."""
        with open_providers(settings or SecretsResource().settings()) as providers:
            yield providers


class HealerResource(dg.ConfigurableResource):
    """Requests from the providers what the lake lacks and records what they prove."""

    lake: dg.ResourceDependency[LakeResource]
    providers: dg.ResourceDependency[ProvidersResource]

    @contextmanager
    def open(self, log: Log) -> Generator[Healer]:
        """Yield a healer whose lines go to `log`."""
        settings = SecretsResource().settings()
        with self.providers.open(settings) as providers:
            yield Healer(
                context=self.lake.context(settings),
                providers=providers,
                max_concurrent_requests=settings.requests.max_concurrent_requests,
                log=log,
            )


class StreamingSidecar(dg.ConfigurableResource):
    """The streaming sidecar: its address, its health, its offsets."""

    url: str = Field("", description="e.g. http://sidecar:9464; empty: STOCKS_SIDECAR_URL")

    def status(self) -> SidecarStatus:
        """Request the sidecar's health; one that does not answer is a status, no error."""
        settings = SecretsResource().settings().sidecar
        return fetch_status(self.url or settings.sidecar_url, settings.journal_dir)


@dg.definitions
def resources() -> dg.Definitions:
    """Return the resources under the names that assets, sensors and schedules use."""
    lake, providers = LakeResource(location=""), ProvidersResource()
    return dg.Definitions(
        resources={
            "lake": lake,
            "providers": providers,
            "healer": HealerResource(lake=lake, providers=providers),
            "sidecar": StreamingSidecar(url=""),
            "duckdb": LakeDuckDB(),
            "secrets": SecretsResource(),
        }
    )
