"""How an asset check reports the rows it found wrong."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

ROWS_SHOWN_MAX = 20


def passed_without(
    wrong: pl.DataFrame,
    what: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Pass when there is no wrong row, else fail with the first of them as a table.

    `what` names the rows in the plural: "symbols with missing minutes".
    """
    return dg.AssetCheckResult(
        passed=not wrong.height,
        severity=severity,
        description=f"{wrong.height:,} {what}" if wrong.height else f"no {what}",
        metadata={"rows": rows_table(wrong)} if wrong.height else {},
    )


def rows_table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """Return the first rows as a table of texts for the asset's page."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({name: str(value) for name, value in row.items()})
            for row in rows.head(ROWS_SHOWN_MAX).iter_rows(named=True)
        ]
    )


def sessions_of(context: dg.AssetCheckExecutionContext) -> Sequence[date]:
    """Return the sessions of the run, rising: what is filled as a range is checked as one."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)
