"""`stocks coverage`: what is known about every expected symbol-minute."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import typer
from rich.table import Table

from stock_platform.cli.terminal import console
from stock_platform.domain.coverage import COUNTS, SessionCoverage, runs
from stock_platform.domain.symbols import parse_symbol
from stock_platform.errors import PermanentError
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import HealingSettings, LakeSettings, MarketSettings, load


@dataclass(frozen=True, slots=True)
class Row:
    """One session's counts, and the gap ranges of one symbol when one was asked for."""

    session: date
    counts: dict[str, int]
    gaps: list[str]


def show_coverage(session: date | None, symbol: str | None, *, as_json: bool) -> None:
    """Print the coverage of one session or of all the lake should hold."""
    lake_context = LakeContext(
        open_store(load(LakeSettings)), load(MarketSettings), load(HealingSettings)
    )
    rows = coverage_rows(lake_context, session, symbol, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps([_to_json(row) for row in rows], indent=2))
        return
    _print(rows, symbol)


def coverage_rows(
    lake_context: LakeContext, session: date | None, symbol: str | None, now: datetime
) -> list[Row]:
    """Return a row per session; raise `Permanent` for a session or symbol nobody expects."""
    expected = lake_context.sessions(now)
    if session is not None and session not in expected:
        raise PermanentError(
            f"{session} is not a session the lake should hold "
            f"({expected[0]} to {expected[-1]}; see STOCKS_FIRST_SESSION)"
        )
    name = parse_symbol(symbol) if symbol else None
    days = [session] if session else expected
    return [_row(lake_context, day, name, now) for day in days]


def _row(lake_context: LakeContext, session: date, symbol: str | None, now: datetime) -> Row:
    grid = lake_context.calendar.grid(session)
    coverage = lake_context.coverage(grid)
    due = grid.closed_slots(now, lake_context.grace_s)
    if symbol is None:
        return Row(session, coverage.totals(due), [])
    row = int(coverage.rows_of([symbol])[0])
    if row < 0:
        return Row(session, dict.fromkeys(COUNTS, 0), ["not expected"])
    counts = {name: int(values[row]) for name, values in coverage.counts(due).items()}
    return Row(session, counts, _gaps(lake_context, coverage, row, due))


def _gaps(lake_context: LakeContext, coverage: SessionCoverage, row: int, due: int) -> list[str]:
    labels = lake_context.calendar.minute_labels()
    _, first, last = runs(coverage.missing(due)[row : row + 1])
    return [f"{labels[a]}-{labels[b]}" for a, b in zip(first, last, strict=True)]


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
