"""The SQL views over the lake, as text that any DuckDB can run.

A table of the platform that the lake does not hold yet is an empty view with
the right columns, and a table we do not know (an extension's) is shown as it
lies there. Sessions are pruned by folder: `where session = '2026-11-19'` opens
one object.
"""

from collections.abc import Iterable
from datetime import date

import polars as pl

from stock_platform.domain.bars import VALUE_COLUMNS
from stock_platform.domain.revision import Revision
from stock_platform.lake import tables

_PRICES = ("open", "high", "low", "close", "vwap")
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

SPLIT_FACTORS = """
-- One row per symbol and span [from_on, before_on) of sessions: what a price of the span is
-- multiplied with, and a volume divided by, to be comparable with the shares of today.
CREATE VIEW split_factors AS
SELECT symbol,
       lag(executed_on) OVER (PARTITION BY symbol ORDER BY executed_on) AS from_on,
       executed_on AS before_on,
       product(split_from / split_to) OVER (
           PARTITION BY symbol ORDER BY executed_on DESC ROWS UNBOUNDED PRECEDING
       ) AS split_factor
FROM splits
WHERE split_from > 0 AND split_to > 0;
"""

DIVIDEND_FACTORS = """
-- Likewise for cash dividends in US dollars: each takes 1 - amount / close of the last session
-- before its ex-date (that close in shares of the ex-date) off every earlier price.
CREATE VIEW dividend_factors AS
WITH paid AS (
    SELECT symbol, ex_on, sum(amount)::DOUBLE AS amount
    FROM dividends
    WHERE amount > 0 AND coalesce(upper(currency), 'USD') = 'USD'
    GROUP BY ALL
), priced AS (
    SELECT p.symbol, p.ex_on, p.amount, d.session, d.close::DOUBLE AS close
    FROM paid p ASOF JOIN daily_bars d ON p.symbol = d.symbol AND p.ex_on > d.session
), rescaled AS (
    SELECT p.symbol, p.ex_on, any_value(p.amount) AS amount,
           any_value(p.close) * coalesce(product(s.split_from / s.split_to), 1) AS close
    FROM priced p LEFT JOIN splits s
      ON s.symbol = p.symbol AND s.executed_on > p.session AND s.executed_on <= p.ex_on
    GROUP BY ALL
)
SELECT symbol,
       lag(ex_on) OVER (PARTITION BY symbol ORDER BY ex_on) AS from_on,
       ex_on AS before_on,
       product(1 - amount / close) OVER (
           PARTITION BY symbol ORDER BY ex_on DESC ROWS UNBOUNDED PRECEDING
       ) AS dividend_factor
FROM rescaled
WHERE amount < close;
"""

QUARANTINE = """
-- Each refused row once, with the time it was first seen.
CREATE VIEW quarantine AS
SELECT dataset, provider, symbol, "at", reason, record, min(observed_at) AS observed_at
FROM quarantine_parts
GROUP BY ALL;
"""

RESPONSES = """
CREATE VIEW answers AS SELECT DISTINCT * FROM answers_parts;
"""

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
    text += [_create("minute_bars", _best_minute_bars(live)), QUARANTINE, RESPONSES]
    text += [SPLIT_FACTORS, DIVIDEND_FACTORS]
    text += [_create("minute_bars_adjusted", _adjusted("minute_bars", "minute"))]
    text += [_create("daily_bars_adjusted", _adjusted_daily()), COVERAGE_EXAMPLE]
    return "\n".join(text)


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
    names = ", ".join(f'"{name}"' for name in columns)
    source = _quoted(f"{root}/{table.name}/{pattern}")
    return f"SELECT {names}\nFROM read_parquet({source}, {hive or 'hive_partitioning = false'})"


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
    order = [f"list_position([{ranks}], revision)", "observed_at", *VALUE_COLUMNS, "provider"]
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


def _adjusted(table: str, time: str) -> str:
    prices = ", ".join(f"b.{name}::DOUBLE * factor AS {name}" for name in _PRICES)
    session = "" if time == "session" else "b.session, "
    return (
        f"SELECT b.symbol, b.{time}, {session}{prices},\n"  # noqa: S608 - our own names
        "       b.volume::DOUBLE / factor AS volume,\n"
        "       b.transactions, b.provider, b.revision, b.observed_at, factor AS split_factor\n"
        "FROM (\n"
        f"    SELECT t.*, coalesce(f.split_factor, 1.0) AS factor FROM {table} t\n"
        f"    LEFT JOIN split_factors f ON {_within('f')}\n"
        ") b"
    )


def _adjusted_daily() -> str:
    return (
        "SELECT t.*, coalesce(f.dividend_factor, 1.0) AS dividend_factor,\n"
        "       t.close * coalesce(f.dividend_factor, 1.0) AS adj_close\n"
        f"FROM (\n{_adjusted('daily_bars', 'session')}\n) t\n"
        f"LEFT JOIN dividend_factors f ON {_within('f')}"
    )


def _within(factors: str) -> str:
    return (
        f"t.symbol = {factors}.symbol AND t.session < {factors}.before_on "
        f"AND ({factors}.from_on IS NULL OR t.session >= {factors}.from_on)"
    )


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    return _TYPES[type(dtype).__name__]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
