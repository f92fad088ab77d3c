"""Massive's REST API and WebSocket feed."""
