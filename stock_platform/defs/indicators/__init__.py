"""Indicator tables: assets and checks."""
