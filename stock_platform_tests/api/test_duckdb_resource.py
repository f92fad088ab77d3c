"""dagster-duckdb over the lake: a user's own asset reads its views."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster_duckdb import DuckDBResource

from stock_platform.components.duckdb import LakeDuckDB
from stock_platform_tests.api.conftest import DAYS
from stock_platform_tests.house.api_document import DAGSTER_EXAMPLE

pytestmark = pytest.mark.usefixtures("environment")


def test_the_documented_asset_materializes() -> None:
    names: dict[str, object] = {"__name__": __name__}
    exec(compile(DAGSTER_EXAMPLE, "docs/api.md", "exec"), names)
    asset = names["busiest_symbols"]
    assert isinstance(asset, dg.AssetsDefinition)

    result = dg.materialize([asset], resources={"duckdb": LakeDuckDB()})

    [event] = result.asset_materializations_for_node("busiest_symbols")
    table = event.metadata["busiest"].value
    assert "BRK.B" in str(table)


def test_it_is_the_resource_of_dagster_duckdb() -> None:
    resource = LakeDuckDB()

    assert isinstance(resource, DuckDBResource)
    assert resource.database == ":memory:"


def test_a_connection_reads_and_cannot_write(folder: Path) -> None:
    with LakeDuckDB(location=str(folder)).get_connection() as connection:
        found = connection.sql("select distinct session from minute_bars order by 1").fetchall()
        with pytest.raises(duckdb.Error):
            connection.execute(f"copy (select 1) to '{folder}/written.parquet'")

    assert [day for (day,) in found] == list(DAYS)
    assert not (folder / "written.parquet").exists()
