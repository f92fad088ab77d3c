"""DuckDB over the lake for assets, checks and a user's own assets."""

from collections.abc import Generator
from contextlib import contextmanager

import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from stock_platform.components.secrets import SecretsResource
from stock_platform.lake.object_store import open_store
from stock_platform.lake.sql.query import open_snapshot


class LakeDuckDB(DuckDBResource):
    """dagster-duckdb's resource with the tables and views of the lake, read-only.

    A connection reads one snapshot: the objects as they were when it was opened. It can
    write nothing, neither to the lake nor to a database file, so that no process locks
    another out. A query that needs an object replaced since raises `duckdb.Error`.

        @dg.asset
        def busiest(duckdb: LakeDuckDB) -> None:
            with duckdb.get_connection() as connection:
                connection.sql("select symbol, sum(volume) from minute_bars group by all").pl()
    """

    database: str = Field(
        default=":memory:", description="always in memory: the data is the lake's"
    )
    location: str = Field(
        default="", description="a folder or s3://bucket/prefix; empty: STOCKS_LAKE"
    )

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    @contextmanager
    def get_connection(self) -> Generator[duckdb.DuckDBPyConnection]:
        """Yield a connection over the lake as it is now; close it at the end.

        Raises `PermanentError` when there is no such lake or the settings are wrong.
        """
        settings = SecretsResource().settings().lake
        if self.location:
            settings = settings.model_copy(update={"lake": self.location})
        with open_snapshot(open_store(settings, create=False)) as connection:
            yield connection
