"""Finnhub's REST API and WebSocket."""
