"""Settings of every suite."""

from hypothesis import HealthCheck, settings

# How long one example takes says something about a busy machine, nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
