"""`stocks replay`: archived events back through the sidecar's sinks."""

import typer

from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings
from stock_platform.stream.sinks.replay import replay


def replay_archive(source: str) -> None:
    """Feed a file, a folder or s3://bucket/prefix back, and return what came of it."""
    done = replay(source, Settings.from_env(read_secret))
    typer.echo(
        f"{done.objects} objects, {done.events:,} events: {done.written:,} newest values to Redis, "
        f"{done.bars:,} minute bars to the lake"
    )
