"""`stocks coverage`: what is known about every expected symbol-minute."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
import typer
from rich.table import Table

from stock_platform.cli.terminal import console
from stock_platform.domain.coverage import COUNTS
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.domain.symbols import parse_symbol
from stock_platform.errors import PermanentError
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import (
    CoverageAt,
    coverage_at,
    nearest_symbol,
    unlisted_symbols,
)
from stock_platform.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """One session's counts, and the gap ranges of one symbol where one is chosen."""

    session: date
    counts: dict[str, int]
    gaps: list[str]


def show_coverage(session: date | None, symbol: str | None, *, as_json: bool) -> None:
    """Print the coverage of one session or of all the lake should hold."""
    settings = Settings.from_env()
    lake_context = LakeContext(
        open_store(settings.lake, create=False), settings.market, settings.healing
    )
    rows = coverage_rows(lake_context, session, symbol, datetime.now(UTC))
    if symbol and not any(row.counts["expected"] for row in rows):
        near = nearest_symbol(symbol, lake_context.universe(rows[-1].session)) if rows else None
        hint = f"; did you mean {near}?" if near else ""
        typer.echo(f"stocks: {symbol} is expected on none of these sessions{hint}", err=True)
    for line in unlisted_symbols(lake_context):
        typer.echo(f"stocks: {line}", err=True)
    if as_json:
        typer.echo(json.dumps([_to_json(row) for row in rows], indent=2))
        return
    _print(rows, symbol)


def coverage_rows(
    lake_context: LakeContext, session: date | None, symbol: str | None, now: datetime
) -> list[Row]:
    """Return a row per session; raise `PermanentError` for a session or symbol not expected."""
    expected = lake_context.sessions(now)
    if session is not None and session not in expected:
        raise PermanentError(
            f"{session} is not a session the lake should hold "
            f"({expected[0]} to {expected[-1]}; see STOCKS_FIRST_SESSION)"
        )
    name = parse_symbol(symbol) if symbol else None
    days = [session] if session else expected
    return [_row(coverage_at(lake_context, day, now), name) for day in days]


def _row(found: CoverageAt, symbol: str | None) -> Row:
    session = found.coverage.session
    if symbol is None:
        return Row(session, found.coverage.totals(found.end), [])
    counts = found.counts().filter(pl.col("symbol") == symbol)
    if not counts.height:
        return Row(session, dict.fromkeys(COUNTS, 0), ["not expected"])
    ranges = found.missing_ranges().filter(pl.col("symbol") == symbol)
    gaps = [
        f"{first.astimezone(NEW_YORK):%H:%M}-{last.astimezone(NEW_YORK):%H:%M}"
        for first, last in ranges.select("first", "last").rows()
    ]
    return Row(session, counts.select(COUNTS).row(0, named=True), gaps)


def _to_json(row: Row) -> dict[str, object]:
    return {"session": row.session.isoformat(), **row.counts, "gaps": row.gaps}


def _print(rows: list[Row], symbol: str | None) -> None:
    title = f"coverage of {symbol or 'all symbols'}, in symbol-minutes"
    table = Table("session", *COUNTS, *(["gaps (New York)"] if symbol else []), title=title)
    for name in range(1, len(COUNTS) + 1):
        table.columns[name].justify = "right"
    for row in rows:
        missing = row.counts["missing"]
        cells = [
            f"[red]{row.counts[name]:,}[/]"
            if name == "missing" and missing
            else f"{row.counts[name]:,}"
            for name in COUNTS
        ]
        table.add_row(str(row.session), *cells, *([", ".join(row.gaps)] if symbol else []))
    terminal = console()
    terminal.print(table)
    if not any(row.counts["expected"] for row in rows):
        terminal.print("Nothing is expected yet: set STOCKS_SYMBOLS, or run `stocks init`.")
