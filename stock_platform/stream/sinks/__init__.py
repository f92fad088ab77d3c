"""Consumers of the journal: Redis, the lake and the archive."""
