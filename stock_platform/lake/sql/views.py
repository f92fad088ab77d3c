"""The SQL views over the lake, as text that any DuckDB can run.

A table of the platform that the lake does not hold yet is an empty view with
its columns, and any other table (an extension's) is a view of its files as they
are. Sessions are pruned by folder: `where session = '2026-11-19'` opens
one object.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from importlib.resources import files

import polars as pl

from stock_platform.domain.claims import BESIDE
from stock_platform.lake import tables
from stock_platform.lake.point_in_time import ClaimTable, macros, with_live_parts

FIXED = (
    "recorded_once",
    "split_factors",
    "dividend_factors",
    "minute_bars_adjusted",
    "daily_bars_adjusted",
    "security_bars",
    "improbable",
)
"""Views and macros kept as .sql files beside this one, each after those it reads."""

DIGITS = 38
"""Digits of a number in the views: products of two columns and their sums stay exact."""

_STORED = {
    name: f"{name}_stored"
    for name, table in tables.TABLES.items()
    if any(isinstance(dtype, pl.Decimal) for dtype in table.schema.values())
} | {"answers": "answers_parts", "quarantine": "quarantine_parts"}
"""The names of the objects' own rows where the table's name is that of a view over them."""
_CREATED = re.compile(r'CREATE\s+(?:VIEW|MACRO|FUNCTION)\s+"?(\w+)', re.IGNORECASE)

_TYPES = {
    "String": "VARCHAR",
    "Enum": "VARCHAR",
    "Datetime": "TIMESTAMPTZ",
    "Date": "DATE",
    "Int32": "INTEGER",
    "Int64": "BIGINT",
    "Float64": "DOUBLE",
    "Binary": "BLOB",
    "Boolean": "BOOLEAN",
    "Int8": "TINYINT",
}

COVERAGE_EXAMPLE = """
-- coverage: counts are ready, and the bitmaps can be counted or read as well, e.g.
--   SELECT session, symbol, bit_count(observed_bits::BIT) AS observed,
--          get_bit(observed_bits::BIT, 10) AS has_0940, missing
--   FROM coverage WHERE session = '2026-11-19' AND missing > 0;
"""


def views(locations: Mapping[str, str]) -> str:
    """Return the text that creates every view over objects, given by path and address.

    The text holds for these objects: a session whose first live part arrives later needs
    a new one, so it is made anew for every query.
    """
    held = sorted(path for path in locations if path.endswith(".parquet") and "/" in path)
    by_table: dict[str, list[str]] = {}
    for path in held:
        by_table.setdefault(path.split("/", 1)[0], []).append(path)
    live = {
        day
        for path in by_table.get("minute_bars_live", [])
        if isinstance(day := tables.partition_of(path.split("/")[1]), date)
    }
    text = [
        _create(_STORED.get(name, name), _table(table, by_table.get(name, []), locations))
        for name, table in tables.TABLES.items()
    ]
    strangers = sorted(set(by_table) - set(tables.TABLES))
    text += [_create(name, _external_table(by_table[name], locations)) for name in strangers]
    claimed = {
        name: _claim_table(name, by_table.get(name, []), locations)
        for name in ("minute_bars", "daily_bars")
    }
    text += [macros(each) for each in claimed.values()]
    text += [_create("minute_bars_best", with_live_parts(claimed["minute_bars"], live))]
    text += [
        _create(name, _widened(table, "minute_bars_best" if name == "minute_bars" else stored))
        for name, table in tables.TABLES.items()
        if (stored := _STORED.get(name, "")).endswith("_stored")
    ]
    text += [
        _create_macro(f"{name}_as_of", _widened(tables.TABLES[name], f"{name}_known_at(ts)"))
        for name in claimed
    ]
    text += [fixed_view(name) for name in FIXED]
    return "\n".join([*text, COVERAGE_EXAMPLE])


@cache
def definitions() -> dict[str, str]:
    """Return what each view and macro that is no plain table reads: its name and a text."""
    found = {
        "minute_bars": "minute_bars_live minute_bars_history",
        "daily_bars_as_of": "daily_bars_history",
    }
    for file in FIXED:
        text = fixed_view(file)
        found |= {name.lower(): text for name in _CREATED.findall(text)}
    return found


@cache
def fixed_view(name: str) -> str:
    """Return the text of a view that is the same over every lake, one of `FIXED`."""
    return files("stock_platform.lake.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _create(name: str, select: str) -> str:
    return f'CREATE VIEW "{name}" AS\n{select};\n'


def _create_macro(name: str, select: str) -> str:
    return f"CREATE MACRO {name}(ts) AS TABLE\n{select};\n"


def _table(table: tables.Table, held: list[str], locations: Mapping[str, str]) -> str:
    folder = {table.split: pl.Date()} if table.split in {"session", "on"} else {}
    # A daily bar's own session is a column of the file; of a session's folder it is the name.
    extra = {name: dtype for name, dtype in folder.items() if name not in table.schema}
    columns = {**table.schema, **extra}
    held = [path for path in held if table.parts or path.endswith("/data.parquet")]
    if not held:
        empty = ", ".join(f'NULL::{_type(dtype)} AS "{name}"' for name, dtype in columns.items())
        return f"SELECT {empty} WHERE false"
    hive = f"hive_partitioning = true, hive_types = {{'{table.split}': DATE}}" if extra else ""
    source = _list(locations[path] for path in held)
    if table.added:
        return _grown_table(source, table, extra)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"SELECT {names}\nFROM read_parquet({source}, {hive or 'hive_partitioning = false'})"


def _grown_table(source: str, table: tables.Table, extra: Mapping[str, pl.DataType]) -> str:
    """Read objects of which older ones lack columns, without opening any of them yet.

    `union_by_name` would open the end of every object when the view is created. With a schema
    the folder's day comes from the file's name, and is still used to leave out files.
    """
    columns = ", ".join(
        f"'{name}': {{name: '{name}', type: '{_type(dtype)}', default_value: NULL}}"
        for name, dtype in table.schema.items()
    )
    names = [f'"{name}"' for name in table.schema]
    names += [
        f"regexp_extract(filename, '{table.split}=([0-9-]+)', 1)::DATE AS \"{name}\""
        for name in extra
    ]
    return (
        f"SELECT {', '.join(names)}\nFROM read_parquet({source}, "
        f"filename = true, schema = MAP {{{columns}}})"
    )


def _external_table(held: list[str], locations: Mapping[str, str]) -> str:
    split = held[0].split("/")[1:-1]
    same = [path for path in held if path.count("/") == len(split) + 1]
    source = _list(locations[path] for path in same if path.endswith("/data.parquet"))
    kind = split[0].partition("=")[0] if split else ""
    # A year's object may have its own session column; then the folder's name adds nothing.
    hive = f"hive_partitioning = true, hive_types = {{'{kind}': DATE}}" if kind == "session" else ""
    return (
        f"SELECT * FROM read_parquet({source}, union_by_name = true, "  # noqa: S608 - our names
        f"{hive or 'hive_partitioning = false'})"
    )


def _claim_table(name: str, held: list[str], locations: Mapping[str, str]) -> ClaimTable:
    """Return a table of bars with the SELECT of its objects and of what stands beside a bar."""
    table = tables.TABLES[name]
    by_session = table.split == "session"
    schema = pl.Schema({**table.schema, **BESIDE})
    whole = replace(table, schema=schema, added=(*table.added, *BESIDE))
    return ClaimTable(
        name=name,
        key=("session", *table.key) if by_session else table.key,
        columns=(*table.schema, "session") if by_session else tuple(table.schema),
        whole=_table(whole, held, locations),
        live="minute_bars_live_stored" if by_session else "",
    )


def _widened(table: tables.Table, stored: str) -> str:
    """Select the rows of `stored` with numbers whose products fit.

    DuckDB keeps 18 digits in a product of two columns of 18: one million dollars is too much.
    """
    replaced = ", ".join(
        f'"{name}"::DECIMAL({DIGITS},{dtype.scale}) AS "{name}"'
        for name, dtype in table.schema.items()
        if isinstance(dtype, pl.Decimal)
    )
    return f"SELECT * REPLACE ({replaced}) FROM {stored}"  # noqa: S608 - our names


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    return _TYPES[type(dtype).__name__]


def _list(addresses: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, addresses)) + "]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
