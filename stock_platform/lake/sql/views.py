"""The SQL views over the lake, as text that any DuckDB can run.

A table of the platform that the lake does not hold yet is an empty view with
its columns, and any other table (an extension's) is a view of its files as they
are. Sessions are pruned by folder: `where session = '2026-11-19'` opens
one object.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files

import polars as pl

from stock_platform.domain.bars import VALUE_COLUMNS
from stock_platform.domain.revision import FROM_MINUTES, SECOND_SOURCES, Revision
from stock_platform.lake import tables

FIXED = (
    "quarantine",
    "answers",
    "split_factors",
    "dividend_factors",
    "minute_bars_adjusted",
    "daily_bars_adjusted",
    "security_bars",
)
"""Views and macros kept as .sql files beside this one, each after those it reads."""

_TYPES = {
    "String": "VARCHAR",
    "Enum": "VARCHAR",
    "Datetime": "TIMESTAMPTZ",
    "Date": "DATE",
    "Int32": "INTEGER",
    "Int64": "BIGINT",
    "Float64": "DOUBLE",
    "Binary": "BLOB",
}

COVERAGE_EXAMPLE = """
-- coverage: counts are ready, and the bitmaps can be counted or read as well, e.g.
--   SELECT session, symbol, bit_count(observed_bits::BIT) AS observed,
--          get_bit(observed_bits::BIT, 10) AS has_0940, missing
--   FROM coverage WHERE session = '2026-11-19' AND missing > 0;
"""


def views(root: str, paths: Iterable[str]) -> str:
    """Return the text that creates every view over the objects `paths` below `root`.

    The text holds for the lake as it is: a session whose first live part
    arrives later needs a new one, so it is made anew for every question.
    """
    held = sorted(path for path in paths if path.endswith(".parquet") and "/" in path)
    present = {path.split("/", 1)[0] for path in held}
    live = {
        day
        for path in held
        if path.startswith("minute_bars_live/")
        and isinstance(day := tables.partition_of(path.split("/")[1]), date)
    }
    own = {"minute_bars": "minute_bars_base", "answers": "answers_parts"}
    own |= {"quarantine": "quarantine_parts"}
    text = [
        _create(own.get(name, name), _table(root, table, held=name in present))
        for name, table in tables.TABLES.items()
    ]
    strangers = sorted(present - set(tables.TABLES))
    text += [_create(name, _external_table(root, name, held)) for name in strangers]
    text += [_create("minute_bars", _best_minute_bars(live))]
    text += [fixed_view(name) for name in FIXED]
    return "\n".join([*text, COVERAGE_EXAMPLE])


@cache
def fixed_view(name: str) -> str:
    """Return the text of a view that is the same over every lake, one of `FIXED`."""
    return files("stock_platform.lake.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _create(name: str, select: str) -> str:
    return f'CREATE VIEW "{name}" AS\n{select};\n'


def _table(root: str, table: tables.Table, *, held: bool) -> str:
    folder = {table.split: pl.Date()} if table.split in {"session", "on"} else {}
    # A daily bar's own session is a column of the file; of a session's folder it is the name.
    extra = {name: dtype for name, dtype in folder.items() if name not in table.schema}
    columns = {**table.schema, **extra}
    if not held:
        empty = ", ".join(f'NULL::{_type(dtype)} AS "{name}"' for name, dtype in columns.items())
        return f"SELECT {empty} WHERE false"
    pattern = "*/*.parquet" if table.parts else "*/data.parquet" if table.split else "data.parquet"
    hive = f"hive_partitioning = true, hive_types = {{'{table.split}': DATE}}" if extra else ""
    if table.added:
        return _grown_table(root, table, pattern, extra)
    names = ", ".join(f'"{name}"' for name in columns)
    source = _quoted(f"{root}/{table.name}/{pattern}")
    return f"SELECT {names}\nFROM read_parquet({source}, {hive or 'hive_partitioning = false'})"


def _grown_table(
    root: str, table: tables.Table, pattern: str, extra: Mapping[str, pl.DataType]
) -> str:
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
    source = _quoted(f"{root}/{table.name}/{pattern}")
    return (
        f"SELECT {', '.join(names)}\nFROM read_parquet({source}, "
        f"filename = true, schema = MAP {{{columns}}})"
    )


def _external_table(root: str, name: str, held: list[str]) -> str:
    split = next(path for path in held if path.startswith(f"{name}/")).split("/")[1:-1]
    pattern = "/".join(["*"] * len(split) + ["data.parquet"])
    kind = split[0].partition("=")[0] if split else ""
    # A year's object may have its own session column; then the folder's name adds nothing.
    hive = f"hive_partitioning = true, hive_types = {{'{kind}': DATE}}" if kind == "session" else ""
    source = _quoted(f"{root}/{name}/{pattern}")
    return (
        f"SELECT * FROM read_parquet({source}, union_by_name = true, "  # noqa: S608 - our names
        f"{hive or 'hive_partitioning = false'})"
    )


def _best_minute_bars(live: set[date]) -> str:
    if not live:
        return "SELECT * FROM minute_bars_base"
    days = ", ".join(f"DATE '{day}'" for day in sorted(live))
    ranks = ", ".join(f"'{revision.value}'" for revision in Revision)
    second = ", ".join(f"'{name}'" for name in SECOND_SOURCES)
    authority = (
        f"CASE WHEN provider = '{FROM_MINUTES}' THEN 0 "
        f"WHEN provider IN ({second}) OR revision = '{Revision.FILL.value}' THEN 1 ELSE 2 END"
    )
    rank = [authority, f"list_position([{ranks}], revision)", "observed_at"]
    order = [*rank, *VALUE_COLUMNS, "provider"]
    # The same total order as domain.bar.merge; only sessions with live parts are ranked.
    return (
        f"SELECT * FROM minute_bars_base WHERE session NOT IN ({days})\n"  # noqa: S608 - dates
        "UNION ALL\n"
        "SELECT * FROM (\n"
        f"    SELECT * FROM minute_bars_base WHERE session IN ({days})\n"
        "    UNION ALL SELECT * FROM minute_bars_live\n"
        ") QUALIFY row_number() OVER (\n"
        "    PARTITION BY session, symbol, minute\n"
        f"    ORDER BY {', '.join(f'{column} DESC NULLS LAST' for column in order)}\n"
        ") = 1"
    )


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    return _TYPES[type(dtype).__name__]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
