"""Polled quotes: assets, schedules and requests."""
