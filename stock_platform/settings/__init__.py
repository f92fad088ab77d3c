"""Every environment variable the platform reads, typed, one class for each concern.

Nothing else reads the environment. `Settings` holds all of them.
"""

from stock_platform.settings.alerts import AlertSettings
from stock_platform.settings.dagster import DagsterSettings, SidecarSettings
from stock_platform.settings.everything import SecretsReader, Settings
from stock_platform.settings.healing import AutomationSettings, HealingSettings
from stock_platform.settings.lake import LakeSettings
from stock_platform.settings.loader import StocksSettings, load
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

__all__ = [
    "AlertSettings",
    "AutomationSettings",
    "DagsterSettings",
    "FinnhubSettings",
    "HealingSettings",
    "IndicatorSettings",
    "LakeSettings",
    "MailSettings",
    "MarketSettings",
    "MassiveSettings",
    "PostgresSettings",
    "QueueSettings",
    "RapidSettings",
    "RedisSettings",
    "ReportSettings",
    "RequestSettings",
    "SecretsReader",
    "ServingSettings",
    "Settings",
    "SidecarSettings",
    "StocksSettings",
    "StreamSettings",
    "load",
]
