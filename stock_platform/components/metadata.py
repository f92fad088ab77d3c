"""What an asset's page shows: its columns, what a materialization did, what a check found."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.lake.write import Published
from stock_platform.pipelines.heal import HealResult
from stock_platform.pipelines.heat_map import as_markdown, heat_map

COVERAGE_LINES = ("minutes present of expected", "accounted for")
"""The part of `of_coverage` that is small enough for every minute."""

ROWS_SHOWN_MAX = 20
"""Wrong rows that a check shows."""
OWNERS = ["team:market-data"]
DESCRIPTIONS: Mapping[str, str] = {
    "symbol": "as the exchange writes it",
    "minute": "start of the minute, UTC",
    "session": "the exchange's date",
    "open": "US dollars, as traded",
    "high": "US dollars, as traded",
    "low": "US dollars, as traded",
    "close": "US dollars, as traded",
    "vwap": "volume-weighted average price of the bar; null where the provider has none",
    "volume": "shares, fractional since 2026-02",
    "transactions": "trades; null where the provider has none",
    "provider": "who said it",
    "revision": "fill < live < rest < final < correction",
    "observed_at": "when we learned it, UTC",
}


def columns(
    schema: pl.Schema, key: tuple[str, ...], descriptions: Mapping[str, str] = DESCRIPTIONS
) -> dict[str, Any]:
    """Return the definition metadata that shows `schema` on the asset's page."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name,
                    str(kind),
                    description=descriptions.get(name, DESCRIPTIONS.get(name)),
                    constraints=dg.TableColumnConstraints(nullable=name not in key),
                )
                for name, kind in schema.items()
            ],
            constraints=dg.TableConstraints(other=[f"unique ({', '.join(key)})"]),
        )
    }


def of_publication(published: Published) -> dict[str, Any]:
    """Return the metadata of one publication."""
    return {
        "dagster/row_count": published.rows,
        "dagster/uri": published.uri,
        "rows added": published.added,
        "rows changed": published.changed,
        "revisions": dg.MetadataValue.json(published.revisions),
    }


def of_coverage(coverage: SessionCoverage, due: int | None = None) -> dict[str, Any]:
    """Return the metadata of a session's coverage, without the picture."""
    totals = coverage.totals(due)
    expected = totals["expected"]
    accounted = expected - totals["missing"]
    return {
        "minutes present of expected": f"{totals['observed']:,} of {expected:,}",
        "accounted for": f"{accounted / expected:.4%}" if expected else "nothing expected",
        "coverage": dg.MetadataValue.table(
            [dg.TableRecord({"state": name, "symbol-minutes": totals[name]}) for name in totals]
        ),
    }


def picture(coverage: SessionCoverage, due: int | None = None) -> dg.MarkdownMetadataValue:
    """Draw the coverage heat map for the asset's page."""
    title = f"coverage of {coverage.session}"
    return dg.MetadataValue.md(as_markdown(heat_map(coverage, due), title))


def of_heal(healed: HealResult) -> dict[str, Any]:
    """Return the metadata of one heal: what it cost and what it brought."""
    return {
        "provider calls": healed.calls,
        "minutes found": healed.found,
        "rows rejected": healed.rejected,
        "answers refused": healed.refused,
        "answers failed": healed.failed,
        "symbols left for later": healed.left_out,
        "bars of symbols not expected": healed.unexpected,
        "bars outside the hours": healed.off_hours,
        "seconds": round(healed.seconds, 2),
        **(of_publication(healed.published) if healed.published else {}),
    }


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
