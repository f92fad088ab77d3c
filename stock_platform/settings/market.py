"""Which symbols, sessions and minutes the lake should hold."""

import csv
import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from stock_platform.domain.sessions import Calendar, Overrides
from stock_platform.domain.symbols import Symbol, parse_symbol, parse_symbols
from stock_platform.errors import InvalidDataError
from stock_platform.settings.loader import StocksSettings

_HEADERS = frozenset({"symbol", "symbols", "ticker", "tickers", "act symbol"})
# A symbol may hold a # inside, so a comment begins a line or follows a blank.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


class MarketSettings(StocksSettings):
    """What should be in the lake: which symbols, which sessions, which minutes."""

    symbols: Annotated[tuple[Symbol, ...] | None, NoDecode] = Field(
        (Symbol("GOOG"), Symbol("MSFT"), Symbol("NVDA"), Symbol("QUBT"), Symbol("RKLB")),
        description="GOOG,MSFT | @file with one symbol a line | * for the whole market",
    )
    first_session: date | None = Field(
        None, description="first day the lake should hold; default: 70 sessions ago"
    )
    last_session: date | None = Field(None, description="last day it should hold; default: today")
    history_sessions: int = Field(
        70, ge=1, le=2600, description="used when first_session is not set"
    )
    extended_hours: bool = Field(False, description="04:00-20:00 New York instead of 09:30-16:00")
    calendar_overrides: Path | None = Field(
        None, description="YAML of closures announced later: closed, early_closes"
    )

    @field_validator("symbols", mode="before")
    @classmethod
    def _read_symbols(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip()
        if text == "*":
            return None
        try:
            return read_symbol_file(Path(text[1:])) if text[:1] == "@" else parse_symbols(text)
        except (InvalidDataError, OSError) as error:
            raise ValueError(str(error)) from error

    def calendar(self) -> Calendar:
        """Build the calendar these settings describe."""
        path = self.calendar_overrides
        overrides = Overrides.from_file(path) if path else Overrides()
        return Calendar(extended=self.extended_hours, overrides=overrides)

    def span(self, today: date) -> tuple[date, date]:
        """Return the first and the last session the lake should hold as of `today`."""
        calendar = self.calendar()
        last = min(self.last_session or today, today)
        first = self.first_session or calendar.previous(today, self.history_sessions)
        return first, last


def read_symbol_file(path: Path) -> tuple[Symbol, ...]:
    """Return the symbols of a text file: one a line, or separated by commas.

    Blank lines, quotes, comments (`# ...`) and a byte order mark are passed over. A first line
    that names a column `symbol` or `ticker` makes it a table, of which that column counts.
    Raise `InvalidDataError` for a file that names no symbol, and for a wrong one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not a text in UTF-8") from None
    lines = [_COMMENT.sub("", line).strip() for line in text.splitlines()]
    rows = [_cells(line) for line in lines if line]
    head = [cell.lower() for cell in rows[0]] if rows else []
    column = next((n for n, cell in enumerate(head) if cell in _HEADERS), None)
    if column is None:
        names = [name for row in rows for cell in row for name in cell.split()]
    else:
        names = [row[column] for row in rows[1:] if len(row) > column]
    symbols = tuple(dict.fromkeys(parse_symbol(name) for name in names if name))
    if not symbols:
        raise InvalidDataError(f"{path} names no symbol")
    return symbols


def _cells(line: str) -> list[str]:
    separator = next((each for each in ("\t", ";") if each in line), ",")
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    return [cell.strip().strip("'\"").strip() for cell in cells]


class IndicatorSettings(StocksSettings):
    """Which indicators are computed."""

    indicators: tuple[str, ...] = Field(
        (), description="JSON list of indicator or column names; empty: every one installed"
    )
