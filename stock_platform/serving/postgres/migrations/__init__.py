"""Revisions of the serving store's schema, run by `serving.postgres_schema.migrate`."""
