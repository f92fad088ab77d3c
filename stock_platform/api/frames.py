"""Arguments, outcomes and frames of the public API: sessions as text, lazy sources."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
from polars.io.plugins import register_io_source

from stock_platform.errors import InvalidDataError

Day = str | date
"""A session as `date` or ISO text such as "2026-11-20"."""

Instant = str | datetime
"""An instant as an aware `datetime` or ISO text with its offset."""

Load = Callable[[list[str] | None], Iterator[pl.DataFrame]]
"""Yields frames that hold at least the columns given (None: all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealOutcome:
    """What `Lake.heal` did to one session, in symbol-minutes unless named otherwise.

    outcome = lake.heal("2026-11-20")
    print(outcome.found, "minutes healed,", outcome.missing, "still missing")
    """

    session: date
    missing_before: int
    found: int
    """Observed for the first time."""
    missing: int
    """Still missing; the next heal requests them again when their retry is due."""
    calls: int
    """Requests made to providers."""
    rejected: int
    """Rows in the quarantine because of this heal."""
    failed: int
    """Requests without a usable response."""


def to_day(value: Day) -> date:
    """Return a session; raise `InvalidDataError` for anything but a date or its ISO text."""
    if isinstance(value, datetime):
        raise InvalidDataError(f"a session is a date, found the instant {value.isoformat()}")
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidDataError(f"a session is a date such as 2026-11-20, found {value!r}") from None


def to_instant(value: Instant | None) -> datetime | None:
    """Return an instant in UTC, None for none; raise `InvalidDataError` without a time zone."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        offset = found.utcoffset()
    except (AttributeError, TypeError, ValueError):
        offset = found = None
    if found is None or offset is None:
        raise InvalidDataError(
            f"an instant is a datetime with its offset, such as 2026-11-20T21:00+00:00, "
            f"found {value!r}"
        )
    return found.astimezone(UTC)


def to_span(first: Day, last: Day | None) -> tuple[date, date]:
    """Return both ends of a range; raise `InvalidDataError` when they are reversed."""
    begin = to_day(first)
    end = begin if last is None else to_day(last)
    if end < begin:
        raise InvalidDataError(f"the first session {begin} is after the last {end}")
    return begin, end


def to_symbols(symbols: Sequence[str] | None) -> list[str] | None:
    """Return the symbols sorted, one text as a list of it, None for all of them.

    Raises `InvalidDataError` for anything but text: no symbol would be found for it.
    """
    if symbols is None:
        return None
    given: object = [symbols] if isinstance(symbols, str) else symbols
    found = list[object](given if isinstance(given, Iterable) else [given])
    texts = {each for each in found if isinstance(each, str)}
    for each in found:
        if not isinstance(each, str):
            raise InvalidDataError(f"a symbol is text such as 'AAPL', found {each!r}")
    return sorted(texts)


def of_symbols(rows: pl.DataFrame, symbols: list[str] | None) -> pl.DataFrame:
    """Return the rows of `symbols`, or all of them for None."""
    return rows if symbols is None else rows.filter(pl.col("symbol").is_in(symbols))


def adjusted_schema(schema: pl.Schema) -> pl.Schema:
    """Return the columns of an adjusted view: session is third in that of minute bars."""
    names = [name for name in schema if name != "session"]
    names.insert(2 if "minute" in schema else 1, "session")
    numbers = {n: pl.Float64() for n in ("open", "high", "low", "close", "vwap", "volume")}
    kinds = {**schema, **numbers}
    return pl.Schema({**{name: kinds[name] for name in names}, "split_factor": pl.Float64()})


def collect(
    schema: pl.Schema,
    load: Load,
    *,
    lazy: bool,
) -> pl.DataFrame | pl.LazyFrame:
    """Return the frames of `load` as one, or as a LazyFrame that asks for them one by one."""

    def frames(columns: list[str] | None) -> Iterator[pl.DataFrame]:
        names = list(schema) if columns is None else columns
        kinds = pl.Schema({name: schema[name] for name in names})
        for frame in load(columns):
            yield frame.select(names).cast(kinds)

    def source(
        columns: list[str] | None,
        predicate: pl.Expr | None,
        rows: int | None,
        batch_rows: int | None,
    ) -> Iterator[pl.DataFrame]:
        left = rows
        for frame in frames(columns):
            kept = frame if predicate is None else frame.filter(predicate)
            kept = kept if left is None else kept.head(left)
            yield kept
            if left is not None and not (left := left - kept.height):
                return

    if lazy:
        return register_io_source(source, schema=schema)
    return pl.concat([pl.DataFrame(schema=schema), *frames(None)])
