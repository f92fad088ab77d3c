"""Indicator tables: which sessions are computed, from which state, and where they are stored."""
