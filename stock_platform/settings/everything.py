"""`Settings`: every concern's settings, read from the environment once."""

from typing import Generic, TypeVar, cast

from pydantic_settings import BaseSettings

from stock_platform.errors import PermanentError
from stock_platform.settings.alerts import AlertSettings
from stock_platform.settings.dagster import DagsterSettings, SidecarSettings
from stock_platform.settings.healing import AutomationSettings, HealingSettings
from stock_platform.settings.lake import LakeSettings
from stock_platform.settings.loader import load
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


class _Concern(Generic[Kind]):
    """One class of settings as an attribute; a wrong one raises when it is used."""

    def __init__(self, kind: type[Kind]) -> None:
        self.kind = kind
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, settings: "Settings", owner: type) -> Kind:
        found = settings._read[self.name]  # pyright: ignore[reportPrivateUsage]
        if isinstance(found, PermanentError):
            raise found
        return cast(Kind, found)

    def __set__(self, settings: "Settings", value: object) -> None:
        raise AttributeError(f"settings are read once: {self.name} cannot be set")


class Settings:
    """Every setting of the platform, read once; immutable.

    A concern whose variables are wrong raises `PermanentError` when it is used, naming
    them, so that a wrong mail server does not stop a query.
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

    def __init__(self, **concerns: BaseSettings | PermanentError) -> None:
        """Hold the given concerns; `from_env` reads all of them."""
        self._read = concerns

    @classmethod
    def from_env(cls) -> "Settings":
        """Read every variable now; what is wrong is raised by the concern that uses it."""
        return cls(**{name: _read(concern.kind) for name, concern in _concerns().items()})

    def replaced(self, **concerns: BaseSettings) -> "Settings":
        """Return settings with some concerns exchanged; the others stay as they were read."""
        return Settings(**{**self._read, **concerns})


def _concerns() -> dict[str, _Concern[BaseSettings]]:
    return {name: c for name, c in vars(Settings).items() if isinstance(c, _Concern)}


def _read(kind: type[BaseSettings]) -> BaseSettings | PermanentError:
    try:
        return load(kind)
    except PermanentError as error:
        return error
