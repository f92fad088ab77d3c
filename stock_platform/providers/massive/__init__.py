"""Massive (formerly Polygon.io): REST and flat files."""
