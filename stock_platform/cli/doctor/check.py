"""`stocks doctor`: check every configured dependency, and show what to do about failures.

A check runs the code that the platform itself runs, so that what passes here works
there. It leaves nothing behind, and no message holds a secret.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from stock_platform.errors import PermanentError, PlatformError
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings


@dataclass(frozen=True, slots=True)
class Check:
    """How one dependency is checked."""

    name: str
    used: Callable[[Settings], bool]
    run: Callable[[Settings], str]
    """Returns what was found in a few words; raises a `PlatformError` when it does not work."""
    to_use: str
    """How to use it, shown when it is not in use."""
    remedy: str
    """What to do when it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `ok` is None for what is not in use."""

    name: str
    ok: bool | None
    text: str
    remedy: str = ""


def run_checks(what: str | None) -> int:
    """Check everything in use, or `what` alone, and print a table; return the exit code."""
    settings = Settings.from_env(read_secret)
    findings = [run_check(each, settings, named=bool(what)) for each in _chosen(what)]
    _print(findings)
    return 1 if any(finding.ok is False for finding in findings) else 0


def run_check(check: Check, settings: Settings, *, named: bool) -> Finding:
    """Run a check if its dependency is in use; not in use is a failure when it is `named`."""
    name = check.name
    try:
        if not check.used(settings):
            return Finding(name, False if named else None, "not in use", check.to_use)
        return Finding(name, True, check.run(settings))
    except PlatformError as error:
        return Finding(name, False, str(error), check.remedy)
    except Exception as error:  # the other checks still matter
        # Its text is not ours and may quote an address with a password in it.
        return Finding(name, False, f"unexpected {type(error).__name__}", check.remedy)


def _chosen(what: str | None) -> Sequence[Check]:
    from stock_platform.cli.doctor.platform import PLATFORM
    from stock_platform.cli.doctor.services import SERVICES
    from stock_platform.cli.doctor.vendors import VENDORS

    everything = [*PLATFORM, *VENDORS, *SERVICES]
    chosen = [each for each in everything if what in {None, each.name}]
    if not chosen:
        names = ", ".join(each.name for each in everything)
        raise PermanentError(f"there is no check named {what!a}; the checks are {names}")
    return chosen


def _print(findings: Sequence[Finding]) -> None:
    table = Table(
        "", "check", Column("found", overflow="fold"), Column("what to do", overflow="fold")
    )
    marks = {True: "[green]ok[/]", False: "[red]failed[/]", None: "[dim]-[/]"}
    for finding in findings:
        table.add_row(marks[finding.ok], finding.name, escape(finding.text), escape(finding.remedy))
    Console().print(table)
