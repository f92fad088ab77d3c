"""Minute bars and everything known of a session's minutes."""
