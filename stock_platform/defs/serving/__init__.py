"""Serving stores and the weekly report."""
