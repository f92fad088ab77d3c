"""Quotes from Massive's snapshot: all symbols in one call, or a batch by name."""

from collections.abc import Callable, Sequence
from datetime import datetime

from stock_platform.providers.massive.bars import NAME
from stock_platform.providers.massive.paging import pages, results
from stock_platform.providers.quote_polling import Group, RawQuote, poll
from stock_platform.providers.sources import QuoteResponse
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import HttpClient, utc_now

_PATH = "/v2/snapshot/locale/us/markets/stocks/tickers"
BATCH = 200
"""Symbols by name in one address, which gateways cut at some 2,000 characters."""
WHOLE_MARKET_FROM = 2_000
"""From this many symbols on, one answer about all is cheaper than batches."""


class MassiveQuotes:
    """The last trade and the NBBO of each symbol, where the plan has snapshots."""

    name = NAME

    def __init__(
        self, http: HttpClient, *, at_once: int = 4, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._http = http
        self._at_once = at_once
        self._clock = clock

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Request the snapshot of `symbols` now and stamp it with `minute`."""
        everything = len(symbols) >= WHOLE_MARKET_FROM
        return poll(
            self._ask,
            symbols,
            provider=NAME,
            minute=minute,
            asked_at=self._clock(),
            group=len(symbols) if everything else BATCH,
            at_once=self._at_once,
        )

    def _ask(self, group: Group) -> list[RawQuote]:
        named = {} if len(group) > BATCH else {"tickers": ",".join(group)}
        wanted = set(group)
        return [
            to_quote(row)
            for page in pages(self._http, _PATH, named)
            for row in results(page, "tickers")
            if json_values.text(row.get("ticker")) in wanted
        ]


def to_quote(row: dict[str, object]) -> RawQuote:
    """Read one snapshot: the last trade, or without one the last minute's or the day's close."""
    part = {name: _object(row.get(name)) for name in _PARTS}
    trade, day = part["lastTrade"], part["day"]
    prices = (trade.get("p"), part["min"].get("c"), day.get("c"))
    return {
        "symbol": json_values.text(row.get("ticker")),
        "price": next(
            (json_values.number(price) for price in prices if price not in (None, 0)), None
        ),
        "open": json_values.number(day.get("o")),
        "high": json_values.number(day.get("h")),
        "low": json_values.number(day.get("l")),
        "previous_close": json_values.number(part["prevDay"].get("c")),
        "bid": json_values.number(part["lastQuote"].get("p")),
        "ask": json_values.number(part["lastQuote"].get("P")),
        "quoted_at": json_values.instant(trade.get("t")) or json_values.instant(row.get("updated")),
    }


_PARTS = ("day", "min", "prevDay", "lastTrade", "lastQuote")


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
