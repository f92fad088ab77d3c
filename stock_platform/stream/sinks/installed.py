"""Sinks of other packages: found by entry point, each run in a process of its own.

A package declares one in its `pyproject.toml`, and `STREAM_SINKS=trades` starts it:

    [project.entry-points."stock_platform.sinks"]
    trades = "my_package.trades:open_sink"
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from stock_platform.errors import PermanentError
from stock_platform.stream import runtime
from stock_platform.stream.journal.consumer import Sink, run_consumer

GROUP = "stock_platform.sinks"
RESERVED = frozenset({"reader", "supervisor", "backfill", "latest", "queue", "archive", "bars"})
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What an entry point is called with."""

    name: str
    """The entry point's name; the sink's `name` must be the same."""
    journal: Path
    """The journal's folder, on a local disk."""
    feeds: tuple[str, ...]
    """The feeds' names; `Record.feed` is an index of them."""
    debug: bool = False

    @property
    def folder(self) -> Path:
        """A folder for the sink's own files, made when it is missing."""
        folder = self.journal / "sinks" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def installed_sinks() -> dict[str, EntryPoint]:
    """Return the installed sinks by name; none of them is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _one_of(name: str) -> EntryPoint | None:
    found = {entry.value: entry for entry in entry_points(group=GROUP) if entry.name == name}
    if len(found) > 1:
        raise PermanentError(f"the sink {name!r} is installed twice: {', '.join(sorted(found))}")
    return next(iter(found.values()), None)


def check_names(names: Sequence[str]) -> None:
    """Raise `PermanentError` for a name that is not installed or cannot be used."""
    installed = installed_sinks()
    for name in names:
        if name not in installed:
            known = ", ".join(sorted(installed)) or "none"
            raise PermanentError(f"STREAM_SINKS: no sink {name!r} is installed; installed: {known}")
        if name in RESERVED or not NAME.fullmatch(name):
            raise PermanentError(f"STREAM_SINKS: {name!r} is reserved or not [a-z][a-z0-9_-]*")
        _one_of(name)


def open_sink(context: SinkContext) -> Sink:
    """Import the entry point `context.name` and call it; raise `PermanentError` if wrong."""
    entry = _one_of(context.name)
    if entry is None:
        raise PermanentError(f"no sink {context.name!r} is installed")
    try:
        factory: Callable[[SinkContext], Sink] = entry.load()
        sink = factory(context)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise PermanentError(f"the sink {context.name!r} cannot be opened: {reason}") from error
    if not isinstance(sink, Sink):
        raise PermanentError(f"the sink of {entry.value} keeps no protocol of a sink")
    if sink.name != context.name:
        raise PermanentError(
            f"the sink of {entry.value} is named {sink.name!r}, not {context.name!r}"
        )
    return sink


def run_installed(context: SinkContext) -> None:
    """Run the process of an installed sink; `close` is called at the end where it has one."""
    runtime.configure_logs(debug=context.debug)
    sink = open_sink(context)
    run_consumer(context.journal, sink)
    close = getattr(sink, "close", None)
    if callable(close):
        close()
