"""`stocks sql`: one read-only question to the lake."""

import json

import polars as pl
import typer
from rich.table import Table

from stock_platform.cli.terminal import console
from stock_platform.lake.object_store import open_store
from stock_platform.lake.sql.query import query as ask
from stock_platform.settings import LakeSettings, load


def run_query(query: str, *, as_json: bool, rows_max: int, timeout_s: float) -> None:
    """Print the answer as a table, or as a JSON array of rows."""
    response = ask(open_store(load(LakeSettings)), query, timeout_s=timeout_s)
    if as_json:
        rows = response.rows(named=True)
        typer.echo(json.dumps(rows, default=str, indent=2))
        return
    terminal = console()
    terminal.print(to_table(response, rows_max=rows_max))
    if response.height > rows_max:
        terminal.print(f"{response.height - rows_max:,} more rows; --rows shows more, --json all")


def to_table(response: pl.DataFrame, *, rows_max: int, title: str | None = None) -> Table:
    """Make a table for the terminal of a frame's first rows."""
    table = Table(title=title)
    for name, kind in response.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left")
    for row in response.head(rows_max).iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
