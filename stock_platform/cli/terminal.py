"""Where commands print."""

import sys

from rich.console import Console

WIDTH = 110
"""Of a log or a pipe, which have none of their own."""


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or `WIDTH` where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH)
