"""What the demo prints at its end: every minute by state, two queries, the next commands."""

import sys
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stock_platform.cli.demo.plan import DemoPlan
from stock_platform.cli.sql import to_table
from stock_platform.domain.coverage import COUNTS
from stock_platform.lake import coverage
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext

SHOWN = ("expected", "observed", "silent", "empty", "healed", "missing", "refused")
QUERIES = {
    "the five most traded symbols": (
        "select symbol, sum(volume)::bigint as shares, count(*) as bars from minute_bars "
        "group by symbol order by shares desc limit 5"
    ),
    "where the bars came from": (
        "select provider, revision, count(*) as bars, count(distinct symbol) as symbols "
        "from minute_bars group by all order by bars desc"
    ),
}


def figures(lake_context: LakeContext, sessions: Iterable[date]) -> dict[str, int | float]:
    """Add up the coverage of the sessions."""
    known = coverage.summaries(lake_context.store, sessions)
    return {name: int(known[name].sum()) for name in COUNTS}


def print_report(
    console: Console,
    plan: DemoPlan,
    lake_context: LakeContext,
    result: dict[str, int | float],
    *,
    runs: Mapping[str, int],
) -> None:
    """Print the table, how many `runs` each sensor started, two queries and the next commands."""
    known = coverage.summaries(lake_context.store, plan.sessions)
    table = Table("session", *SHOWN, title="every expected symbol-minute, accounted for")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in known.iter_rows(named=True):
        table.add_row(str(row["session"]), *(f"{row[name]:,}" for name in SHOWN))
    table.add_section()
    table.add_row("all", *(f"{result[name]:,}" for name in SHOWN), style="bold")
    console.print(table)
    console.print(
        f"bars that differ from the simulator's truth: [bold]{result['mismatched']}[/]   "
        f"({result['seconds']} s)\n"
    )
    console.print("[dim]runs by the sensor that requested them:[/]")
    for who, count in sorted(runs.items()):
        console.print(f"  {count:3d}  {who}")
    console.print()
    for title, sql in QUERIES.items():
        console.print(f'[dim]stocks sql "{sql}"[/]')
        console.print(to_table(query(lake_context.store, sql), rows_max=10, title=title))
    commands = _commands()
    console.print(
        "Next commands:\n"
        f"  every asset and run  DAGSTER_HOME={plan.home} {commands}dagster-webserver "
        "-m stock_platform.definitions\n"
        f"  one symbol's minutes STOCKS_LAKE={plan.lake} {commands}stocks coverage --symbol MSFT\n"
        f"  your own data        set MASSIVE_API_KEY, then {commands}stocks doctor, "
        f"{commands}stocks init and {commands}stocks dev\n"
        f"The daemon's log is {plan.folder / 'daemon.log'}."
    )


def _commands() -> str:
    """Return the folder of the environment's commands, as one types it from here."""
    folder = Path(sys.executable).parent
    here = Path.cwd()
    return f"{folder.relative_to(here) if folder.is_relative_to(here) else folder}/"
