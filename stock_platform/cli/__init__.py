"""The `stocks` command."""

import sys
import warnings
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values, load_dotenv

from stock_platform.errors import PlatformError

app = typer.Typer(
    name="stocks",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A provably complete lake of US stock data that heals itself.",
)

ENV_FILE = ".env"
"""In the working folder; read by `stocks` as Dagster reads it."""


@app.callback()
def _before_every_command() -> None:
    """Name the variables that are no settings, in one line on stderr."""
    from stock_platform.settings.unknown import unknown_settings

    try:
        in_file = list(dotenv_values(Path.cwd() / ENV_FILE, encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        in_file = []
    unknown = unknown_settings(in_file)
    if unknown:
        typer.echo(f"stocks: unknown settings have no effect: {', '.join(unknown)}", err=True)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def demo(
    as_json: AsJson = False,
    symbols: Annotated[
        int, typer.Option(min=20, max=8000, help="Symbols in the simulated market.")
    ] = 500,
    folder: Annotated[
        Path, typer.Option(help="Folder of the demo's data; an earlier demo in it is replaced.")
    ] = Path("data/demo"),
    ui: Annotated[
        bool, typer.Option("--ui", help="Keep the Dagster UI running at the end.")
    ] = False,
) -> None:
    """Lose data on purpose and watch it being healed; needs no key and no network."""
    from stock_platform.cli.demo.run import run_demo

    raise typer.Exit(run_demo(folder, symbols=symbols, as_json=as_json, ui=ui))


@app.command()
def dev(
    port: Annotated[
        int, typer.Option("--port", "-p", min=1, max=65_535, help="Port of the Dagster UI.")
    ] = 3000,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder of Dagster's data. Default: DAGSTER_HOME, else .dagster in this folder."
        ),
    ] = None,
) -> None:
    """Start the Dagster UI and daemon on this machine until interrupted."""
    from stock_platform.cli.dev.run import run_dev

    raise typer.Exit(run_dev(port, home))


@app.command()
def simulate(
    script: Annotated[
        Path | None,
        typer.Argument(help="YAML file of the market and its faults. Default: none."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port; 0 chooses a free one.")
    ] = 8900,
) -> None:
    """Serve a simulated market over the vendors' protocols, on loopback, until interrupted."""
    from stock_platform.simulator.server import simulate as serve

    serve(script, port)


@app.command()
def coverage(
    session: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="One session. Default: all.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="One symbol, with its gaps. Default: all together.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many expected symbol-minutes are observed, empty or missing, per session."""
    from stock_platform.cli.coverage import show_coverage

    show_coverage(session.date() if session else None, symbol, as_json=as_json)


@app.command()
def verify(
    session: Annotated[
        str | None,
        typer.Option(help="One session, or a range: 2026-11-16..2026-11-20. Default: all."),
    ] = None,
    against_provider: Annotated[
        bool,
        typer.Option("--against-provider", help="Compare the bars with the provider's record."),
    ] = False,
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the certificates to FILE, or - for stdout."
        ),
    ] = None,
    symbols: Annotated[
        bool,
        typer.Option("--symbols", help="Put the counts of every symbol into the certificates."),
    ] = False,
) -> None:
    """Check every object and recompute coverage from evidence; exit code 1 if any is wrong."""
    from stock_platform.cli.verify import verify_lake

    code = verify_lake(
        session, against_provider=against_provider, json_file=json_file, by_symbol=symbols
    )
    raise typer.Exit(code)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='For example "select * from minute_bars limit 5".')],
    as_json: AsJson = False,
    rows: Annotated[int, typer.Option(min=1, help="Rows printed at most; --json prints all.")] = 50,
    timeout_s: Annotated[
        float, typer.Option(min=0.001, help="Longest time of the query, seconds.")
    ] = 60.0,
) -> None:
    """Query the lake in SQL: one read-only view per table, best revision of each row."""
    from stock_platform.cli.sql import run_query

    run_query(query, as_json=as_json, rows_max=rows, timeout_s=timeout_s)


@app.command("init")
def initialize(
    sessions: Annotated[int, typer.Option(min=1, help="Sessions of history to load.")] = 70,
) -> None:
    """Load history into the lake; may be stopped and repeated at any time."""
    from stock_platform.cli.init import load_history

    raise typer.Exit(load_history(sessions))


@app.command()
def report(
    week: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Any day of it. Default: the last complete week."),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Write the report as one self-contained HTML file.")
    ] = None,
    reset_delivery: Annotated[
        bool,
        typer.Option(
            "--reset-delivery",
            "--forget",
            help="Delete the record of the week's mail, so that it is sent again.",
        ),
    ] = False,
) -> None:
    """Show a week's report: return and range of each symbol, and how complete the data is."""
    from stock_platform.cli.report import show_report

    show_report(week.date() if week else None, preview, reset_mail=reset_delivery)


@app.command()
def stream() -> None:
    """Run the streaming sidecar: from the WebSocket feed to journal, Redis, S3 and the lake."""
    from stock_platform.cli.stream import run_sidecar

    raise typer.Exit(run_sidecar())


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A file, a folder or s3://bucket/prefix.")],
) -> None:
    """Load archived stream events into Redis and the lake again; safe to repeat."""
    from stock_platform.cli.replay import replay_archive

    replay_archive(source)


@app.command()
def doctor(
    what: Annotated[
        str | None, typer.Argument(help="One dependency only, for example redis.")
    ] = None,
) -> None:
    """Check every configured dependency and show what to do about each failure."""
    from stock_platform.cli.doctor.run import run_checks

    raise typer.Exit(run_checks(what))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("stock-platform"))


def main() -> None:
    """Run the command line; an error with a known cause is one line and exit code 2.

    `.env` in the working folder is read as `dagster dev` reads it; variables that are
    set have precedence.
    """
    try:
        # An editor on Windows may begin the file with a byte order mark: it belongs to no name.
        load_dotenv(Path.cwd() / ENV_FILE, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"stocks: .env cannot be read: {error}", err=True)
        sys.exit(2)
    # Dagster marks features we use as beta; they are pinned, and tested in defs/.
    warnings.filterwarnings("ignore", message=".*is currently in (beta|preview)")
    try:
        app()
    except PlatformError as error:
        typer.echo(f"stocks: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        # A file or folder that was named and cannot be used; others are ours and keep their trace.
        if error.filename is None:
            raise
        typer.echo(f"stocks: {error.filename} cannot be used: {error.strerror}", err=True)
        sys.exit(2)
