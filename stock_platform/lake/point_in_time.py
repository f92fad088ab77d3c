"""The SQL over claims: the bars of the moment where parts are live, and as of an instant.

The same total order and the same lending of columns as `domain.claims`. What stands beside
a bar is read through table macros: they are bound when they are used, and cost nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from stock_platform.domain.bars import OPTIONAL, PRICE_COLUMNS, VALUE_COLUMNS
from stock_platform.domain.revision import FROM_MINUTES, SECOND_SOURCES, Revision

_PROVENANCE = ("provider", "revision", "observed_at")
_BITS = {"vwap": 1, "transactions": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTable:
    """A table of bars: its name, its key with the session, and its columns in their order."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    whole: str
    """The SELECT of its objects with what stands beside each bar."""
    live: str = ""
    """The view of streamed parts that are not merged into it yet, if it has one."""


def macros(table: ClaimTable) -> str:
    """Return the text of the table macros `{table}_claims()` and `{table}_known_at(ts)`."""
    name, key = table.name, _names(table.key)
    contested = f"SELECT {key} FROM {name}_history_stored"
    if table.live:
        contested += f" UNION SELECT {key} FROM {table.live}"
    lent_later = "claim_observed_at > ts::TIMESTAMPTZ"
    plain = _select(table.columns, {each: _own(each, lent_later) for each in OPTIONAL})
    earlier = _select(table.columns, {each: f"claim_{each}" for each in _PROVENANCE})
    # ruff: noqa: S608 - the names are ours
    return f"""CREATE MACRO {name}_whole() AS TABLE
{table.whole};
CREATE MACRO {name}_claims() AS TABLE
{_claims(table)};
CREATE MACRO {name}_known_at(ts) AS TABLE
WITH contested AS MATERIALIZED ({contested}), known AS (
    SELECT * FROM {name}_claims() SEMI JOIN contested USING ({key})
    WHERE observed_at <= ts::TIMESTAMPTZ
), uncontested AS (
    SELECT * FROM {name}_whole() ANTI JOIN contested USING ({key})
)
SELECT {plain} FROM uncontested WHERE observed_at <= ts::TIMESTAMPTZ
UNION ALL
SELECT {earlier} FROM uncontested
WHERE observed_at > ts::TIMESTAMPTZ AND claim_observed_at <= ts::TIMESTAMPTZ
UNION ALL
{_best(table, "known")};
"""


def with_live_parts(table: ClaimTable, sessions: Iterable[date]) -> str:
    """Return the SELECT of the table's best bars; only `sessions`, which have parts, are ranked."""
    days = ", ".join(f"DATE '{day}'" for day in sorted(sessions))
    if not days:
        return f"SELECT * FROM {table.name}_stored"
    return f"""SELECT * FROM {table.name}_stored WHERE session NOT IN ({days})
UNION ALL
{_best(table, f"(SELECT * FROM {table.name}_claims() WHERE session IN ({days}))")}"""


def _claims(table: ClaimTable) -> str:
    own = _select(table.columns, {name: _own(name, "true") for name in OPTIONAL})
    beside = _select(table.columns, {name: f"claim_{name}" for name in _PROVENANCE})
    names = _names(table.columns)
    parts = [
        f"SELECT {own}, false AS retracted FROM {table.name}_whole()",
        f"SELECT {beside}, false FROM {table.name}_whole() WHERE claim_observed_at IS NOT NULL",
        f"SELECT {names}, retracted FROM {table.name}_history_stored",
    ]
    if table.live:
        parts.append(f"SELECT {names}, false FROM {table.live}")
    return "\nUNION ALL ".join(parts)


def _best(table: ClaimTable, claims: str) -> str:
    """Return the SELECT of the bars that follow from claims."""
    ranks = ", ".join(f"'{revision.value}'" for revision in Revision)
    second = ", ".join(f"'{name}'" for name in SECOND_SOURCES)
    authority = (
        f"CASE WHEN provider = '{FROM_MINUTES}' THEN 0 "
        f"WHEN provider IN ({second}) OR revision = '{Revision.FILL.value}' THEN 1 ELSE 2 END"
    )
    rank = [authority, f"list_position([{ranks}], revision)", "observed_at"]
    order = ", ".join(f"{each} DESC NULLS LAST" for each in (*rank, *VALUE_COLUMNS, "provider"))
    key, same = _names(table.key), _names((*table.key, *PRICE_COLUMNS))
    lent = {name: f"lent_{name}" for name in OPTIONAL}
    lends = ",\n        ".join(
        f"first_value({name} IGNORE NULLS) OVER bar AS {to}" for name, to in lent.items()
    )
    return f"""SELECT {_select(table.columns, lent)} FROM (
    SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS place,
        {lends}
    FROM {claims}
    WINDOW bar AS (
        PARTITION BY {same} ORDER BY {order}
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
) WHERE place = 1 AND NOT retracted"""


def _own(name: str, unless: str) -> str:
    lacks = f"coalesce(claim_lacks, 0) & {_BITS[name]} <> 0"
    return f"CASE WHEN {lacks} AND coalesce({unless}, false) THEN NULL ELSE {name} END"


def _select(columns: Sequence[str], instead: dict[str, str]) -> str:
    return ", ".join(
        f'{instead[name]} AS "{name}"' if name in instead else f'"{name}"' for name in columns
    )


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
