"""`stocks doctor`: is everything that is configured there, and if not, what to do.

An examination uses the code that the platform itself uses, so that what passes
here works there. Nothing is left behind, and no message holds a secret.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from stock_platform.errors import PermanentError, PlatformError


@dataclass(frozen=True, slots=True)
class Check:
    """How one dependency is examined."""

    name: str
    used: Callable[[], bool]
    run: Callable[[], str]
    """Gives what was seen in a few words; raises a `Problem` when it does not work."""
    to_use: str
    """How to have it, told when it is not in use."""
    remedy: str
    """What to do when it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one examination found; `ok` is None for what is not in use."""

    name: str
    ok: bool | None
    text: str
    cure: str = ""


def run_checks(what: str | None) -> int:
    """Examine everything in use, or `what` alone, and print a table; return the exit code."""
    findings = [run_check(each, asked_for=bool(what)) for each in _chosen(what)]
    _print(findings)
    return 1 if any(finding.ok is False for finding in findings) else 0


def run_check(examination: Check, *, asked_for: bool) -> Finding:
    """Look, unless the dependency is not in use; asked for by name, that is a failure too."""
    name = examination.name
    try:
        if not examination.used():
            return Finding(name, False if asked_for else None, "not in use", examination.to_use)
        return Finding(name, True, examination.run())
    except PlatformError as problem:
        return Finding(name, False, str(problem), examination.remedy)
    except Exception as error:  # the other examinations still matter
        # Its text is not ours and may quote an address with a password in it.
        return Finding(name, False, f"unexpected {type(error).__name__}", examination.remedy)


def _chosen(what: str | None) -> Sequence[Check]:
    from stock_platform.cli.doctor.platform import PLATFORM
    from stock_platform.cli.doctor.services import SERVICES
    from stock_platform.cli.doctor.vendors import VENDORS

    everything = [*PLATFORM, *VENDORS, *SERVICES]
    chosen = [each for each in everything if what in {None, each.name}]
    if not chosen:
        names = ", ".join(each.name for each in everything)
        raise PermanentError(f"nothing to examine is called {what!a}; there are {names}")
    return chosen


def _print(findings: Sequence[Finding]) -> None:
    table = Table(
        "", "what", Column("found", overflow="fold"), Column("what to do", overflow="fold")
    )
    marks = {True: "[green]ok[/]", False: "[red]wrong[/]", None: "[dim]-[/]"}
    for finding in findings:
        table.add_row(marks[finding.ok], finding.name, escape(finding.text), escape(finding.cure))
    Console().print(table)
