"""A vendor in memory, for what runs over a lake."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS, PRICE
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.errors import PlatformError, TransientError
from stock_platform.providers.sources import DailyResponse

SETTLE = timedelta(minutes=20)
LONG_AFTER = datetime(2026, 12, 24, 15, tzinfo=UTC)
DOWN = TransientError("HTTP 503")


@dataclass(kw_only=True)
class Vendor:
    """Has a bar of every minute but those in `lacks`; fails with `error` where it is set."""

    name: str = "massive"
    price: Decimal = Decimal(10)
    lacks: set[tuple[str, datetime]] = field(default_factory=set)
    prices: dict[tuple[str, datetime], Decimal] = field(default_factory=dict)
    vwap: Decimal | None = None
    error: PlatformError | None = None
    now: datetime = LONG_AFTER
    calls: list[str] = field(default_factory=list)
    modify: Callable[[ProviderResponse], ProviderResponse] = lambda response: response

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        self.calls.append(symbol)
        if self.error is not None:
            raise self.error
        grid = Calendar().grid(session)
        revision = Revision.FINAL if self.now >= grid.closes_at + SETTLE else Revision.REST
        count = int((last - first) / timedelta(minutes=1)) + 1
        minutes = [first + timedelta(minutes=n) for n in range(count)]
        held = [minute for minute in minutes if (symbol, minute) not in self.lacks]
        bars = pl.DataFrame(
            [self._bar(symbol, minute, revision) for minute in held],
            schema=MINUTE_BARS,
            orient="row",
        )
        return self.modify(
            ProviderResponse(
                provider=self.name,
                session=session,
                symbols=(symbol,),
                first=first,
                last=last,
                asked_at=self.now,
                revision=revision,
                bars=bars,
            )
        )

    def daily_bars(self, session: date) -> DailyResponse:
        self.calls.append(str(session))
        if self.error is not None:
            raise self.error
        at = datetime.combine(session, datetime.min.time(), UTC)
        rows = [
            {"symbol": symbol, "session": session, **self._values((symbol, at))}
            for symbol in ("AAPL", "MSFT")
            if (symbol, at) not in self.lacks
        ]
        provenance = {
            "provider": self.name,
            "revision": Revision.FINAL.value,
            "observed_at": self.now,
        }
        return DailyResponse(
            provider=self.name,
            first=session,
            last=session,
            symbols=None,
            asked_at=self.now,
            revision=Revision.FINAL,
            bars=pl.DataFrame([row | provenance for row in rows], schema=DAILY_BARS),
        )

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        response = self.daily_bars(first)
        own = response.bars.filter(pl.col("symbol") == symbol)
        return replace(response, symbols=(symbol,), bars=own)

    def _bar(self, symbol: str, minute: datetime, revision: Revision) -> dict[str, object]:
        return {
            "symbol": symbol,
            "minute": minute,
            **self._values((symbol, minute)),
            "provider": self.name,
            "revision": revision.value,
            "observed_at": self.now,
        }

    def _values(self, key: tuple[str, datetime]) -> dict[str, object]:
        price = self.prices.get(key, self.price)
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        return {**prices, "vwap": self.vwap, "volume": Decimal(100), "transactions": None}


def streamed(grid: MinuteGrid, slots: dict[int, float], *, symbol: str = "AAPL") -> pl.DataFrame:
    """Return streamed bars of slots at prices, with a vwap and a count of trades."""
    rows = [
        {
            "symbol": symbol,
            "minute": grid.minute(slot),
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), Decimal(str(price))),
            "volume": Decimal(100),
            "transactions": 7,
            "provider": "massive",
            "revision": "live",
            "observed_at": grid.minute(slot) + timedelta(seconds=61),
        }
        for slot, price in slots.items()
    ]
    return pl.DataFrame(rows, schema=MINUTE_BARS).with_columns(pl.col("vwap").cast(PRICE))
