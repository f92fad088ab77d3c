"""A vendor in memory: securities that are listed, renamed and delisted, and trade every minute."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.reference import SYMBOLS
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.providers.sources import DailyResponse, SecurityDetails
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.pipelines.test_corporate_actions import Vendor

SINCE_EVER = date(1990, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One time in which a symbol trades, and what the vendor gets wrong about it."""

    symbol: str
    figi: str | None = None
    first: date = SINCE_EVER
    last: date | None = None
    """The first day on which it no longer trades."""
    listed_first: date | None = None
    """The first day on which the list has it, where that is not `first`."""
    absent_on: tuple[date, ...] = ()
    """Days on which the list lacks it all the same."""

    def trades(self, on: date) -> bool:
        return self.first <= on and (self.last is None or on < self.last)

    def is_listed(self, on: date) -> bool:
        begun = self.listed_first is None or self.listed_first <= on
        return self.trades(on) and begun and on not in self.absent_on


@dataclass
class Exchange(Vendor):
    """Lists, minute bars, daily bars and flat files of some lives."""

    lives: list[Life]
    now: datetime
    calendar: Calendar = field(default_factory=Calendar)
    lists_asked: list[date] = field(default_factory=list[date])
    minutes_asked: list[tuple[str, date]] = field(default_factory=list[tuple[str, date]])
    name = "massive"

    def __post_init__(self) -> None:
        super().__init__()

    def symbols(self, on: date) -> pl.DataFrame:
        self.lists_asked.append(on)
        rows = [
            dict.fromkeys(SYMBOLS)
            | {"symbol": life.symbol, "figi": life.figi, "provider": self.name, "as_of": on}
            for life in self.lives
            if life.is_listed(on)
        ]
        return pl.DataFrame(rows, schema=SYMBOLS)

    def trading(self, session: date) -> list[str]:
        return sorted(life.symbol for life in self.lives if life.trades(session))

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        self.minutes_asked.append((symbol, session))
        symbols = [symbol] if symbol in self.trading(session) else []
        return self._minutes(session, symbols, first, last, asked=(symbol,))

    def session_minute_bars(self, session: date, grid: MinuteGrid) -> ProviderResponse:
        last = grid.closes_at - timedelta(minutes=1)
        return self._minutes(session, self.trading(session), grid.opens_at, last, asked=None)

    def fingerprint(self, session: date) -> str | None:
        return "etag"

    def daily_bars(self, session: date) -> DailyResponse:
        return self._days(self.trading(session), [session], asked=None)

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        days = [day for day in self.calendar.sessions(first, last) if symbol in self.trading(day)]
        return self._days([symbol], days, asked=(symbol,), span=(first, last))

    def _minutes(
        self,
        session: date,
        symbols: Iterable[str],
        first: datetime,
        last: datetime,
        *,
        asked: tuple[str, ...] | None,
    ) -> ProviderResponse:
        grid = self.calendar.grid(session)
        begin, end = grid.slots_within(first, last)
        bars = bars_of(((each, slot) for each in symbols for slot in range(begin, end + 1)), grid)
        return ProviderResponse(
            provider=self.name,
            session=session,
            symbols=asked,
            first=first,
            last=last,
            asked_at=self.now,
            revision=Revision.FINAL,
            bars=bars.with_columns(
                observed_at=pl.lit(self.now), revision=pl.lit("final", MINUTE_BARS["revision"])
            ),
        )

    def _days(
        self,
        symbols: list[str],
        days: list[date],
        *,
        asked: tuple[str, ...] | None,
        span: tuple[date, date] | None = None,
    ) -> DailyResponse:
        first, last = span or (days[0], days[-1])
        pairs = [(symbol, day) for symbol in symbols for day in days]
        values = bars_of([("A", 0)]).drop("symbol", "minute").row(0, named=True)
        values |= {"observed_at": self.now, "revision": "final"}
        frame = pl.DataFrame(
            {
                "symbol": [symbol for symbol, _ in pairs],
                "session": [day for _, day in pairs],
                **{name: [value] * len(pairs) for name, value in values.items()},
            },
            schema=DAILY_BARS,
        )
        return DailyResponse(
            provider=self.name,
            first=first,
            last=last,
            symbols=asked,
            asked_at=self.now,
            revision=Revision.FINAL,
            bars=frame,
        )


@dataclass
class KnowingExchange(Exchange):
    """A vendor that also has details and changes of symbols, right or wrong as they are set."""

    details: dict[str, SecurityDetails] = field(default_factory=dict[str, SecurityDetails])
    changes: dict[str, list[tuple[str, date]]] = field(
        default_factory=dict[str, list[tuple[str, date]]]
    )
    asked: list[str] = field(default_factory=list[str])
    fails: Callable[[str], None] = lambda _: None

    def security(self, symbol: str, on: date) -> SecurityDetails | None:
        self.asked.append(symbol)
        self.fails(symbol)
        return self.details.get(symbol)

    def symbol_changes(self, identifier: str) -> pl.DataFrame:
        rows = self.changes.get(identifier, [])
        schema = {"symbol": pl.String, "changed_on": pl.Date}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("changed_on")
