"""The indicators that come with the platform."""
