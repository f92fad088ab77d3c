"""Checks of every configured dependency."""
