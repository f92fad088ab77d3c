"""docs/data.md describes exactly the tables, columns, types and keys the code writes."""

import importlib
import pkgutil
import re
from pathlib import Path

import polars as pl
import pytest

import stock_platform.domain
from stock_platform.domain.bars import PRICE, TIMESTAMP_US
from stock_platform.lake.tables import TABLES, Table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
TYPES = {
    pl.Boolean(): "boolean",
    pl.String(): "text",
    pl.Date(): "date",
    TIMESTAMP_US: "instant",
    PRICE: "decimal(18,6)",
    pl.Int32(): "integer",
    pl.Int64(): "bigint",
    pl.Float64(): "double",
    pl.Binary(): "blob",
}


def sections() -> dict[str, str]:
    """Return the text below each table's name."""
    found: dict[str, str] = {}
    for section in PAGE.read_text().split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        found |= dict.fromkeys(re.findall(r"`([a-z_]+)`", title), body)
    return found


SECTIONS = sections()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_of_a_table_is_documented_with_its_type(table: Table) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (?:yes|no) \| [^|]{3,} \|$", SECTIONS[table.name], re.M
    )

    types = {name: TYPES.get(dtype, "enum") for name, dtype in table.schema.items()}
    assert rows == list(types.items())


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_key_of_a_table_is_documented(table: Table) -> None:
    [text] = re.findall(r"^Key: (.+?)\. Partition: ", SECTIONS[table.name], re.M)

    whole = "the whole row" if set(table.key) == set(table.schema) else ""
    assert text == (whole or ", ".join(f"`{name}`" for name in table.key))


def test_no_table_is_documented_that_does_not_exist() -> None:
    assert set(SECTIONS) == set(TABLES)


def test_every_schema_of_the_domain_is_a_table() -> None:
    modules = [
        importlib.import_module(f"stock_platform.domain.{module.name}")
        for module in pkgutil.iter_modules(stock_platform.domain.__path__)
    ]

    schemas = [value for one in modules for value in vars(one).values() if type(value) is pl.Schema]

    assert [one for one in schemas if one not in [table.schema for table in TABLES.values()]] == []
