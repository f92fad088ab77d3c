"""The paths of the lake, which only this module makes.

    minute_bars/session=2026-11-19/data.parquet           coverage, raw_quotes, ... alike
    minute_bars_live/session=2026-11-19/0931-sidecar.parquet
    daily_bars/year=2026/data.parquet
    answers/session=2026-11-19/{digest}.parquet           quarantine/on=2026-11-20/{digest}.parquet
    stream_log/session=2026-11-19/{writer}.parquet
    splits/data.parquet

A reader of a table uses `*/data.parquet` or `*/*.parquet`; nothing else in the
lake ends in `.parquet`, and unfinished files are outside every glob.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.claims import BESIDE, DAILY_BARS_HISTORY, MINUTE_BARS_HISTORY
from stock_platform.domain.coverage import CONNECTIONS, COVERAGE
from stock_platform.domain.quotes import QUOTE_KEY, RAW_QUOTES
from stock_platform.domain.reference import (
    CORPORATE_ACTIONS,
    CORPORATE_ACTIONS_KEY,
    DIVIDENDS,
    DIVIDENDS_KEY,
    SECURITIES,
    SECURITIES_KEY,
    SPLITS,
    SPLITS_KEY,
    SYMBOL_CHANGES,
    SYMBOL_CHANGES_KEY,
    SYMBOL_SPANS,
    SYMBOL_SPANS_KEY,
    SYMBOLS,
    SYMBOLS_ADDED,
    SYMBOLS_KEY,
    UNEXPECTED_SYMBOLS,
)
from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import PROVIDER_RESPONSES
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.healing.aggregate import DAILY_RESPONSES, DAILY_RESPONSES_KEY
from stock_platform.healing.reconciliation import DIFFERENCES, RECONCILIATION

SCHEMA_VERSION = 1
"""Written into every object; raised by a change that an older release would misread."""

Split = Literal["session", "year", "on", ""]
Partition = date | int | None
"""A session or day, a year, or None for a table that is one object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table the platform itself writes: its columns, its key and how it is cut up."""

    name: str
    schema: pl.Schema
    key: tuple[str, ...]
    split: Split
    parts: bool = False
    """Many immutable parts per partition instead of one `data.parquet`."""
    added: tuple[str, ...] = ()
    """Nullable columns that objects of earlier releases lack; they are read as null."""
    beside: tuple[str, ...] = ()
    """Columns that objects may hold beside those of the table: of its history, see `claims`."""


_BAR_KEY = ("symbol", "minute")
_TABLES = (
    Table(
        name="minute_bars", schema=MINUTE_BARS, key=_BAR_KEY, split="session", beside=tuple(BESIDE)
    ),
    Table(
        name="minute_bars_history",
        schema=MINUTE_BARS_HISTORY,
        key=tuple(MINUTE_BARS_HISTORY),
        split="session",
    ),
    Table(name="minute_bars_live", schema=MINUTE_BARS, key=_BAR_KEY, split="session", parts=True),
    Table(name="off_hours_bars", schema=MINUTE_BARS, key=_BAR_KEY, split="session"),
    Table(
        name="daily_bars",
        schema=DAILY_BARS,
        key=("symbol", "session"),
        split="year",
        beside=tuple(BESIDE),
    ),
    Table(
        name="daily_bars_history",
        schema=DAILY_BARS_HISTORY,
        key=tuple(DAILY_BARS_HISTORY),
        split="year",
    ),
    Table(name="daily_answers", schema=DAILY_RESPONSES, key=DAILY_RESPONSES_KEY, split="year"),
    Table(name="raw_quotes", schema=RAW_QUOTES, key=QUOTE_KEY, split="session"),
    Table(name="coverage", schema=COVERAGE, key=("symbol",), split="session"),
    Table(
        name="answers",
        schema=PROVIDER_RESPONSES,
        key=tuple(PROVIDER_RESPONSES),
        split="session",
        parts=True,
    ),
    Table(
        name="stream_log",
        schema=CONNECTIONS,
        key=("writer", "connection", "channel"),
        split="session",
        parts=True,
    ),
    Table(name="quarantine", schema=REJECTED, key=tuple(REJECTED), split="on", parts=True),
    Table(name="bar_differences", schema=DIFFERENCES, key=_BAR_KEY, split="session"),
    Table(name="bar_reconciliation", schema=RECONCILIATION, key=("symbol",), split="session"),
    Table(
        name="reference_symbols",
        schema=SYMBOLS,
        key=SYMBOLS_KEY,
        split="session",
        added=SYMBOLS_ADDED,
    ),
    Table(
        name="unexpected_symbols",
        schema=UNEXPECTED_SYMBOLS,
        key=("symbol",),
        split="session",
    ),
    Table(name="securities", schema=SECURITIES, key=SECURITIES_KEY, split=""),
    Table(name="symbol_changes", schema=SYMBOL_CHANGES, key=SYMBOL_CHANGES_KEY, split=""),
    Table(name="symbol_spans", schema=SYMBOL_SPANS, key=SYMBOL_SPANS_KEY, split=""),
    Table(name="splits", schema=SPLITS, key=SPLITS_KEY, split=""),
    Table(name="dividends", schema=DIVIDENDS, key=DIVIDENDS_KEY, split=""),
    Table(
        name="corporate_actions",
        schema=CORPORATE_ACTIONS,
        key=CORPORATE_ACTIONS_KEY,
        split="",
    ),
)
TABLES = {table.name: table for table in _TABLES}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WRITER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LABEL = re.compile(r"([01]\d|2[0-3])[0-5]\d")


def folder(table: str, partition: Partition) -> str:
    """Return the folder of one partition; raise `PermanentError` for an impossible name."""
    if not _NAME.fullmatch(table):
        raise PermanentError(f"a table's name is lower case with underscores, found {table[:80]!a}")
    if partition is None:
        return table
    if isinstance(partition, int):
        return f"{table}/year={partition:04d}"
    known = TABLES.get(table)
    return f"{table}/{known.split if known else 'session'}={partition.isoformat()}"


def data(table: str, partition: Partition) -> str:
    """Return the path of the one object of a partition that is replaced as a whole.

    Raises `PermanentError` for a table cut up another way.
    """
    if (known := TABLES.get(table)) and not _fits(known.split, partition):
        raise PermanentError(f"{table} is kept by {known.split or 'nothing'}, found {partition!r}")
    return f"{folder(table, partition)}/data.parquet"


def live_part(session: date, label: str, writer: str, digest: str = "") -> str:
    """Return the path of one live minute's part; `label` is its New York wall clock as HHMM.

    Raises `InvalidDataError` for another label or an impossible writer.
    """
    if not _LABEL.fullmatch(label):
        raise InvalidDataError(f"a minute's label is HHMM, found {label[:20]!a}")
    suffix = f"-{digest}" if digest else ""
    return f"{folder('minute_bars_live', session)}/{label}-{_writer(writer)}{suffix}.parquet"


def connections(session: date, writer: str) -> str:
    """Return the path of the object with one sidecar's connections of a session."""
    return f"{folder('stream_log', session)}/{_writer(writer)}.parquet"


def part(table: str, partition: date, digest: str) -> str:
    """Return the path of an immutable part, named by its content."""
    return f"{folder(table, partition)}/{digest}.parquet"


def trial(token: str) -> str:
    """Return the path that `stocks doctor` tries a store with; no reader's glob finds it."""
    return f"doctor-{token}.txt"


def partition_of(name: str) -> Partition:
    """Read the name of a partition's folder back; raise `InvalidDataError` for anything else."""
    kind, _, value = name.partition("=")
    try:
        if kind == "year":
            return int(value)
        if kind in {"session", "on"}:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise InvalidDataError(f"not the folder of a partition: {name[:80]!a}")


def _fits(split: Split, partition: Partition) -> bool:
    if split == "year":
        return isinstance(partition, int)
    return (partition is None) if not split else isinstance(partition, date)


def _writer(name: str) -> str:
    if not _WRITER.fullmatch(name):
        raise InvalidDataError(
            f"a writer's name holds letters, digits and _.- only, found {name[:80]!a}"
        )
    return name
