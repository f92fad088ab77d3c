"""`stocks verify`: whether the lake is true to its evidence, and a certificate per session."""

import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TextIO

import typer
from rich.table import Table

from stock_platform.cli.terminal import console
from stock_platform.domain.coverage import COUNTS
from stock_platform.errors import InvalidDataError
from stock_platform.lake.inspection import Defect
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.verify.certificate import Certificate
from stock_platform.pipelines.verify.provider_record import open_record
from stock_platform.pipelines.verify.verifier import Verifier, sessions_to_verify
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings

SHOWN_MAX = 20
"""Defects of one session on stderr; the JSON has all of them."""
WRONG = 1
"""Exit code when anything is not as it should be."""


def verify_lake(
    span: str | None, *, against_provider: bool, json_file: str | None, by_symbol: bool
) -> int:
    """Verify one session, a range or everything; return the exit code."""
    settings = Settings.from_env(read_secret if against_provider else None)
    context = LakeContext.from_settings(settings, store=open_store(settings.lake, create=False))
    first, last = parse_span(span)
    sessions = sessions_to_verify(context, first, last, datetime.now(UTC))
    with ExitStack() as stack:
        record = stack.enter_context(open_record(settings)) if against_provider else None
        out = stack.enter_context(
            _Output.open(json_file, single=span is not None and first == last)
        )
        verifier = Verifier(context=context, record=record, by_symbol=by_symbol)
        if span is None:
            verifier.list_lake()
        for number, session in enumerate(sessions, start=1):
            out.add(verifier.verify(session), f"{number:,} of {len(sessions):,}")
        rest = verifier.verify_rest() if span is None else []
        out.show_defects(rest)
    if json_file != "-":
        _print(out.rows)
    return WRONG if out.wrong else 0


def parse_span(text: str | None) -> tuple[date | None, date | None]:
    """Read `2026-11-20` or `2026-11-16..2026-11-20`; raise `InvalidDataError` for other text."""
    if text is None:
        return None, None
    first, dots, last = text.partition("..")
    try:
        begin = date.fromisoformat(first)
        end = date.fromisoformat(last) if dots else begin
    except ValueError:
        raise InvalidDataError(
            f"--session is a date or a range like 2026-11-16..2026-11-20, found {text[:60]!a}"
        ) from None
    if begin > end:
        raise InvalidDataError(f"--session begins after it ends: {text[:60]!a}")
    return begin, end


@dataclass(slots=True, kw_only=True)
class _Output:
    """Certificates as they come: JSON to its file, a row kept for the table."""

    json: TextIO | None
    single: bool
    rows: list[list[str]] = field(default_factory=list[list[str]])
    wrong: bool = False

    @classmethod
    @contextmanager
    def open(cls, file: str | None, *, single: bool) -> "Generator[_Output]":
        """Yield an output to a file, to stdout (`-`) or without JSON; complete it at the end."""
        with ExitStack() as stack:
            to = sys.stdout if file == "-" else None
            if file is not None and to is None:
                to = stack.enter_context(Path(file).open("w", encoding="ascii"))
            out = cls(json=to, single=single)
            yield out
            if to is not None and not single:
                to.write("\n]\n" if out.rows else "[]\n")

    def add(self, certificate: Certificate, progress: str) -> None:
        """Take one certificate."""
        if self.json is not None:
            before = "" if self.single else ",\n" if self.rows else "[\n"
            self.json.write(before + certificate.to_json() + ("\n" if self.single else ""))
        self.rows.append(_row(certificate))
        self.wrong = self.wrong or not certificate.ok
        typer.echo(f"{certificate.session}: {_verdict(certificate)} ({progress})", err=True)
        self.show_defects(certificate.defects)

    def show_defects(self, defects: "tuple[Defect, ...] | list[Defect]") -> None:
        """Name defects on stderr."""
        self.wrong = self.wrong or bool(defects)
        for defect in defects[:SHOWN_MAX]:
            typer.echo(f"stocks: {defect}", err=True)
        if len(defects) > SHOWN_MAX:
            typer.echo(f"stocks: and {len(defects) - SHOWN_MAX:,} more (--json)", err=True)


def _verdict(certificate: Certificate) -> str:
    record = certificate.record
    found = f"{len(certificate.defects):,} defects" if certificate.defects else "sound"
    if record is None:
        return found
    compared = (
        f"{record.provider} has {record.equal:,} bars equal, {record.changed:,} changed, "
        f"{record.absent:,} that the lake lacks, {record.extra:,} fewer"
    )
    unanswered = f", no answer for {len(record.unanswered):,} symbols"
    return f"{found}; {compared}{unanswered if record.unanswered else ''}"


def _row(certificate: Certificate) -> list[str]:
    counts = certificate.counts
    cells = ["?" if counts is None else f"{counts[name]:,}" for name in COUNTS]
    verdict = "[green]ok[/]" if certificate.ok else f"[red]{len(certificate.defects):,} defects[/]"
    if certificate.record is not None and not certificate.record.same:
        verdict = "[red]differs[/]" if not certificate.defects else verdict
    return [str(certificate.session), *cells, verdict, certificate.digest[:12]]


def _print(rows: list[list[str]]) -> None:
    table = Table(
        "session", *COUNTS, "verified", "certificate", title="verified sessions, in symbol-minutes"
    )
    for column in table.columns[1 : len(COUNTS) + 1]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console().print(table)
