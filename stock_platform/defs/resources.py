"""What the assets work with: the lake, the providers, and both joined for healing.

No resource holds a secret in its configuration: keys come from the environment
or AWS Secrets Manager when a run opens its providers, so that run config, the
event log and the UI never see one.
"""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from stock_platform.components.duckdb import LakeDuckDB
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Healer, Log
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.settings import (
    HealingSettings,
    LakeSettings,
    MarketSettings,
    RequestSettings,
    load,
)


class LakeResource(dg.ConfigurableResource):
    """The lake: a folder or an S3 prefix."""

    location: str = Field("", description="a folder or s3://bucket/prefix; empty: STOCKS_LAKE")

    def store(self) -> ObjectStore:
        """Open the lake; cheap to repeat."""
        settings = load(LakeSettings)
        if self.location:
            settings = settings.model_copy(update={"lake": self.location})
        return open_store(settings)

    def context(self) -> LakeContext:
        """Read the lake with the settings that say what it should hold."""
        return LakeContext(self.store(), load(MarketSettings), load(HealingSettings))


class ProvidersResource(dg.ConfigurableResource):
    """The market-data providers that the settings configure."""

    @contextmanager
    def open(self) -> Generator[Providers]:
        """Yield the configured providers; their keys travel in headers only."""
        with open_providers() as providers:
            yield providers


class HealerResource(dg.ConfigurableResource):
    """Asks providers for what the lake lacks and records what they prove."""

    lake: dg.ResourceDependency[LakeResource]
    providers: dg.ResourceDependency[ProvidersResource]

    @contextmanager
    def open(self, log: Log) -> Generator[Healer]:
        """Yield a healer whose lines go to `log`."""
        with self.providers.open() as providers:
            at_once = load(RequestSettings).max_concurrent_requests
            yield Healer(
                context=self.lake.context(),
                providers=providers,
                max_concurrent_requests=at_once,
                log=log,
            )


LAKE = LakeResource(location="")
PROVIDERS = ProvidersResource()
RESOURCES = {
    "lake": LAKE,
    "providers": PROVIDERS,
    "healer": HealerResource(lake=LAKE, providers=PROVIDERS),
    "duckdb": LakeDuckDB(),
}
