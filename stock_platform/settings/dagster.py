"""What Dagster itself reads, and where its assets find the sidecar."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from stock_platform.settings.loader import EnvironmentSettings


class DagsterSettings(EnvironmentSettings):
    """What Dagster itself reads; named here so that it is documented and checked."""

    model_config = SettingsConfigDict(env_prefix="DAGSTER_")

    home: Path | None = Field(
        None, description="folder of Dagster's instance, an absolute path; `make dev` uses .dagster"
    )


class SidecarSettings(EnvironmentSettings):
    """Where the assets find the sidecar: its health by HTTP, or its journal on this machine."""

    sidecar_url: str = Field(
        "",
        validation_alias=AliasChoices("STOCKS_SIDECAR_URL"),
        description="e.g. http://sidecar:9464; empty: found by JOURNAL_DIR",
    )
    journal_dir: Path = Field(Path("./data/journal"), description="of a sidecar on this machine")
