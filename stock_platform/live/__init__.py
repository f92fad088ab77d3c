"""Processors, cache and web service over the live feed."""
