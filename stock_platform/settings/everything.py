"""`Settings`: every concern's settings, read once, from the environment and one secret."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from stock_platform.errors import PermanentError, PlatformError
from stock_platform.settings.alerts import AlertSettings
from stock_platform.settings.dagster import DagsterSettings, SidecarSettings
from stock_platform.settings.healing import AutomationSettings, HealingSettings
from stock_platform.settings.lake import LakeSettings
from stock_platform.settings.loader import NO_SECRETS, EnvironmentSettings, is_secret, load
from stock_platform.settings.market import IndicatorSettings, MarketSettings
from stock_platform.settings.providers import (
    FinnhubSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
)
from stock_platform.settings.serving import (
    MailSettings,
    PostgresSettings,
    QueueSettings,
    ReportSettings,
    ServingSettings,
)
from stock_platform.settings.stream import RedisSettings, StreamSettings

Kind = TypeVar("Kind", bound=BaseSettings)
SecretsReader = Callable[[RequestSettings], Mapping[str, SecretStr]]
"""Reads the secret that the settings name: variable -> value."""


class _Concern(Generic[Kind]):
    """One class of settings as an attribute; a wrong one raises when it is used."""

    def __init__(self, kind: type[Kind]) -> None:
        self.kind = kind
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, settings: "Settings", owner: type) -> Kind:
        found = settings._read[self.name]  # pyright: ignore[reportPrivateUsage]
        if isinstance(found, PlatformError):
            raise found
        return cast(Kind, found)

    def __set__(self, settings: "Settings", value: object) -> None:
        raise AttributeError(f"settings are read once: {self.name} cannot be set")


class Settings:
    """Every setting of the platform, read once; immutable.

    A concern whose variables are wrong raises `PermanentError` when it is used, naming
    them, so that a wrong mail server does not stop a query:

        settings = Settings.from_env()
        settings.lake.lake, settings.market.symbols
    """

    lake = _Concern(LakeSettings)
    market = _Concern(MarketSettings)
    indicators = _Concern(IndicatorSettings)
    massive = _Concern(MassiveSettings)
    finnhub = _Concern(FinnhubSettings)
    rapid = _Concern(RapidSettings)
    requests = _Concern(RequestSettings)
    healing = _Concern(HealingSettings)
    automation = _Concern(AutomationSettings)
    postgres = _Concern(PostgresSettings)
    serving = _Concern(ServingSettings)
    queue = _Concern(QueueSettings)
    report = _Concern(ReportSettings)
    mail = _Concern(MailSettings)
    alerts = _Concern(AlertSettings)
    dagster = _Concern(DagsterSettings)
    sidecar = _Concern(SidecarSettings)
    redis = _Concern(RedisSettings)
    stream = _Concern(StreamSettings)

    def __init__(self, **concerns: BaseSettings | PlatformError) -> None:
        """Hold the given concerns; `from_env` reads all of them."""
        self._read = concerns
        self._secrets: Mapping[str, SecretStr] | PlatformError = NO_SECRETS

    @classmethod
    def from_env(cls, secrets: SecretsReader | None = None) -> "Settings":
        """Read every variable now; what is wrong is raised by the concern that uses it.

        `secrets` fills the secrets that no variable sets, where STOCKS_SECRETS_FROM names a
        secret. When it cannot be read, the concerns that lack a secret raise that error.
        """
        stored = _stored_secrets(secrets)
        settings = cls(**{name: _read(kind, stored) for name, kind in cls.concerns().items()})
        settings._secrets = stored
        return settings

    @staticmethod
    def concerns() -> dict[str, type[BaseSettings]]:
        """Return the class of settings behind each attribute, in order."""
        concerns = vars(Settings).items()
        return {name: found.kind for name, found in concerns if isinstance(found, _Concern)}

    def replaced(self, **concerns: BaseSettings) -> "Settings":
        """Return settings with some concerns exchanged; the others stay as they were read."""
        settings = Settings(**{**self._read, **concerns})
        settings._secrets = self._secrets
        return settings

    def of(self, kind: type[Kind]) -> Kind:
        """Read an extension's own class of settings, from the same environment and secret.

        class AcmeSettings(StocksSettings):
            model_config = SettingsConfigDict(env_prefix="ACME_")
            api_key: SecretStr = SecretStr("")

        settings.of(AcmeSettings).api_key
        """
        found = _read(kind, self._secrets)
        if isinstance(found, PlatformError):
            raise found
        return cast(Kind, found)


def _stored_secrets(
    reader: SecretsReader | None,
) -> Mapping[str, SecretStr] | PlatformError:
    if reader is None:
        return NO_SECRETS
    try:
        requests = load(RequestSettings)
        return reader(requests) if requests.secrets_from else NO_SECRETS
    except PlatformError as error:
        return error


def _read(
    kind: type[BaseSettings], stored: Mapping[str, SecretStr] | PlatformError
) -> BaseSettings | PlatformError:
    try:
        if not isinstance(stored, PlatformError):
            return load(kind, stored)
        return stored if _lacks_a_secret(kind) else load(kind)
    except PermanentError as error:
        return error


def _lacks_a_secret(kind: type[BaseSettings]) -> bool:
    """Return whether a secret that a concern needs is empty, or its variables are wrong."""
    names = [name for name, field in kind.model_fields.items() if is_secret(field)]
    try:
        found = load(kind)
    except PermanentError:
        return bool(names)
    needed = found.needed_secrets() if isinstance(found, EnvironmentSettings) else names
    return not all(getattr(found, name).get_secret_value() for name in needed)
