"""The `stocks` command."""

import sys
import warnings
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from stock_platform.errors import PlatformError

app = typer.Typer(
    name="stocks",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A provably complete lake of US stock data that heals itself.",
)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]


@app.command()
def demo(
    as_json: AsJson = False,
    symbols: Annotated[int, typer.Option(min=20, max=8000, help="size of the market")] = 500,
    folder: Annotated[Path, typer.Option(help="where the demo's lake is made anew")] = Path(
        "data/demo"
    ),
    ui: Annotated[
        bool, typer.Option("--ui", help="keep the Dagster UI running at the end")
    ] = False,
) -> None:
    """Lose data on purpose and watch the platform heal itself (no key, no network)."""
    from stock_platform.cli.demo.run import run_demo

    raise typer.Exit(run_demo(folder, symbols=symbols, as_json=as_json, ui=ui))


@app.command()
def dev(
    port: Annotated[
        int, typer.Option("--port", "-p", min=1, max=65_535, help="of the Dagster UI")
    ] = 3000,
    home: Annotated[
        Path | None,
        typer.Option(help="folder of Dagster's data; default: DAGSTER_HOME, or .dagster here"),
    ] = None,
) -> None:
    """Start the Dagster UI and daemon on this machine until interrupted."""
    from stock_platform.cli.dev.run import run_dev

    raise typer.Exit(run_dev(port, home))


@app.command()
def simulate(
    script: Annotated[
        Path | None, typer.Argument(help="YAML of the market and its faults; none: a sound market")
    ] = None,
    port: Annotated[int, typer.Option(help="0: a free one")] = 8900,
) -> None:
    """Serve the vendors' real protocols on loopback until interrupted."""
    from stock_platform.simulator.command import simulate as serve

    serve(script, port)


@app.command()
def coverage(
    session: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    symbol: Annotated[str | None, typer.Option(help="one symbol's minutes")] = None,
    as_json: AsJson = False,
) -> None:
    """Say for every expected symbol-minute whether it is observed, silent, empty or missing."""
    from stock_platform.cli.coverage import show_coverage

    show_coverage(session.date() if session else None, symbol, as_json=as_json)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='e.g. "select * from minute_bars limit 5"')],
    as_json: AsJson = False,
    rows: Annotated[int, typer.Option(help="rows printed at most")] = 50,
    timeout_s: Annotated[float, typer.Option(help="give up after this long")] = 60.0,
) -> None:
    """Ask the lake in SQL: a view over every asset, best revision only, read-only."""
    from stock_platform.cli.sql import run_query

    run_query(query, as_json=as_json, rows_max=rows, timeout_s=timeout_s)


@app.command("init")
def initialize(
    sessions: Annotated[int, typer.Option(min=1, help="sessions of history to load")] = 70,
) -> None:
    """Load history into the lake, with progress; safe to stop and to repeat."""
    from stock_platform.cli.init import load_history

    raise typer.Exit(load_history(sessions))


@app.command()
def report(
    week: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="any day of it; default: the newest one over"),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="write one HTML file that needs nothing else")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="the week's mail did not arrive: let it be sent again")
    ] = False,
) -> None:
    """Show a week's report: return and range of each symbol, charts, completeness."""
    from stock_platform.cli.report import show_report

    show_report(week.date() if week else None, preview, forget_mail=forget)


@app.command()
def stream() -> None:
    """Be the streaming sidecar: WebSocket to journal, Redis, S3 and the lake."""
    from stock_platform.cli.stream import run_sidecar

    raise typer.Exit(run_sidecar())


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="a file, a folder or s3://bucket/prefix")],
) -> None:
    """Feed archived events back through the sidecar's tailers; safe to repeat."""
    from stock_platform.cli.replay import replay_archive

    replay_archive(source)


@app.command()
def doctor(
    what: Annotated[str | None, typer.Argument(help="one dependency only, e.g. redis")] = None,
) -> None:
    """Check every configured dependency and return what to do."""
    from stock_platform.cli.doctor.check import run_checks

    raise typer.Exit(run_checks(what))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("stock-platform"))


def main() -> None:
    """Run the command line; a known problem is one line and exit code 2.

    `.env` in the working folder is read as `dagster dev` reads it; what is set wins.
    """
    load_dotenv(Path.cwd() / ".env")
    # Pinned and tested in defs/; whoever types a command need not read about it.
    warnings.filterwarnings("ignore", message=".*is currently in (beta|preview)")
    try:
        app()
    except PlatformError as problem:
        typer.echo(f"stocks: {problem}", err=True)
        sys.exit(2)
