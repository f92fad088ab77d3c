"""Dagster code that several concepts of `defs/` share."""
