"""`stocks doctor`: check every configured dependency, and show what to do about failures."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from stock_platform.cli.doctor.check import Check, Finding, run_check
from stock_platform.cli.doctor.platform import PLATFORM, lake_to_be_made
from stock_platform.cli.doctor.services import SERVICES
from stock_platform.cli.doctor.vendors import VENDORS
from stock_platform.errors import PermanentError
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings


def run_checks(what: str | None) -> int:
    """Check everything in use, or `what` alone, and print a table; return the exit code."""
    settings = Settings.from_env(read_secret)
    if lake_to_be_made(settings) is not None and not settings.requests.budget:
        # Requests are counted in the lake's folder, which a check does not make.
        with TemporaryDirectory(prefix="stocks-doctor-") as folder:
            counted = {"budget": str(Path(folder) / "budget.sqlite")}
            requests = settings.requests.model_copy(update=counted)
            return _run_checks(what, settings.replaced(requests=requests))
    return _run_checks(what, settings)


def _run_checks(what: str | None, settings: Settings) -> int:
    findings = [run_check(each, settings, named=bool(what)) for each in _chosen(what)]
    _print(findings)
    return 1 if any(finding.ok is False for finding in findings) else 0


def _chosen(what: str | None) -> Sequence[Check]:
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
