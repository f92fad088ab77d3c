"""Symbols, splits and dividends."""
