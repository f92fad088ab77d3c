"""Alerts and retention."""
