"""Which symbols, sessions and minutes the lake should hold."""

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from stock_platform.domain.sessions import Calendar, Overrides
from stock_platform.domain.symbols import Symbol, parse_symbols
from stock_platform.errors import InvalidDataError
from stock_platform.settings.loader import StocksSettings


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
            if text.startswith("@"):
                text = ",".join(Path(text[1:]).read_text().split())
            return parse_symbols(text)
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


class IndicatorSettings(StocksSettings):
    """Which indicators are computed."""

    indicators: tuple[str, ...] = Field(
        (), description="JSON list of indicator or column names; empty: every one installed"
    )
