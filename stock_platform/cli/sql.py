"""`stocks sql`: one read-only query of the lake."""

import json

import polars as pl
import typer
from rich.table import Table

from stock_platform.cli.terminal import console
from stock_platform.lake.object_store import open_store
from stock_platform.lake.sql.query import query as run
from stock_platform.settings import Settings


def run_query(query: str, *, as_json: bool, rows_max: int, timeout_s: float) -> None:
    """Print the result as a table, or as a JSON array of rows."""
    result = run(open_store(Settings.from_env().lake, create=False), query, timeout_s=timeout_s)
    if as_json:
        rows = result.rows(named=True)
        typer.echo(json.dumps(rows, default=str, indent=2))
        return
    terminal = console()
    terminal.print(to_table(result, rows_max=rows_max))
    if result.height > rows_max:
        terminal.print(f"{result.height - rows_max:,} more rows: --rows prints more, --json all")


def to_table(result: pl.DataFrame, *, rows_max: int, title: str | None = None) -> Table:
    """Return a table for the terminal of a frame's first rows."""
    table = Table(title=title)
    for name, kind in result.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left")
    for row in result.head(rows_max).iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
