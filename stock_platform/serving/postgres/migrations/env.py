"""Alembic's entry: runs revisions over the connection that `migrate` hands in."""

from alembic import context

# The caller owns connection, lock and transaction: a failing revision leaves nothing behind.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
