"""The settings as they were when the definitions were loaded.

Partitions, intervals and default states are part of a definition: they change when the
code location is reloaded, not between two ticks. Everything else reads the settings at
the start of its run or tick (`Settings.from_env()`).
"""

from stock_platform.providers.registry import is_configured
from stock_platform.settings import Settings

SETTINGS = Settings.from_env()

INTERVAL_S = SETTINGS.healing.sensor_interval_s
"""Seconds between two ticks of the sensors that look for missing minutes."""


def provider_is_configured() -> bool:
    """Return whether the settings, as they are at this tick, name a provider."""
    return is_configured(Settings.from_env())
