"""Massive's reference data: tickers, details, splits, dividends, market status."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from stock_platform.domain.sessions import NEW_YORK, Calendar, MinuteGrid
from stock_platform.simulator.http import Request, Response, from_cursor, to_cursor, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.market import Dividend, Split, at_new_york, figi_of
from stock_platform.simulator.vendors.massive.responses import (
    bad_request,
    dated,
    listing,
    not_found,
    request_id,
)

_HOLIDAYS_AHEAD = timedelta(days=400)
# Which of high/low (h), open/close (o) and volume (v) a trade of the condition changes.
CONDITIONS = (
    (0, "Regular Sale", "hov"),
    (2, "Average Price Trade", "v"),
    (7, "Cash Sale", "v"),
    (8, "Closing Prints", "hov"),
    (10, "Derivatively Priced", "hv"),
    (12, "Form T", "v"),
    (14, "Intermarket Sweep", "hov"),
    (15, "Market Center Official Close", ""),
    (16, "Market Center Official Open", ""),
    (37, "Odd Lot Trade", "v"),
    (41, "Trade Thru Exempt", "hov"),
    (52, "Contingent Trade", "v"),
)
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "": lambda value, bound: value == bound,
    ".gte": lambda value, bound: value >= bound,
    ".gt": lambda value, bound: value > bound,
    ".lte": lambda value, bound: value <= bound,
    ".lt": lambda value, bound: value < bound,
    ".any_of": lambda value, bound: value in bound.split(","),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference endpoints over one book."""

    as_of: PointInTimeMarket
    status: str = "OK"

    def tickers(self, request: Request) -> Response:
        """Answer one page of the securities that are (or are no longer) listed on `date`."""
        request = from_cursor(request)
        on = dated(request.query.get("date", "")) or self.as_of.clock.today()
        active = request.flag("active", default=True)
        gone = pl.col("delisted_on").is_not_null() & (pl.col("delisted_on") <= on)
        begun = pl.col("listed_on").is_null() | (pl.col("listed_on") <= on)
        # The list may be late, or lack a day; its securities trade all the same.
        shown = pl.col("listed_from").is_null() | (pl.col("listed_from") <= on)
        shown &= ~pl.col("absent_on").list.contains(on).fill_null(value=False)
        rows = self.as_of.market.listings().filter(begun & ((~gone & shown) if active else gone))
        items = [
            _ticker(row, on, active=active)
            for row in rows.iter_rows(named=True)
            if self._wanted(request, row)
        ]
        return self._page(request, items, key="ticker", default=100, most=1000)

    def details(self, request: Request, symbol: str) -> Response:
        on = dated(request.query.get("date", "")) or self.as_of.clock.today()
        row = self._listing(symbol, on)
        if row is None or not _is_listed(row, on):
            return not_found()
        list_date = row["list_date"]
        details = _ticker(row, on, active=True) | {
            "list_date": str(list_date) if list_date else None,
            "round_lot": 100,
            "share_class_shares_outstanding": 1_000_000_000,
            "weighted_shares_outstanding": 1_000_000_000,
        }
        answer = {"results": details, "status": self.status, "request_id": request_id(symbol)}
        return to_json(answer)

    def events(self, request: Request, symbol: str) -> Response:
        """Answer the symbols of a security, by its symbol or FIGI, the newest first."""
        row = self._listing(symbol, self.as_of.clock.today())
        if row is None:
            return not_found()
        listings = self.as_of.market.listings()
        lives = listings.filter(pl.col("security") == row["security"]).to_dicts()
        events = [
            {
                "type": "ticker_change",
                "date": str(life["changed_on"]),
                "ticker_change": {"ticker": life["symbol"]},
            }
            for life in sorted(lives, key=lambda life: str(life["changed_on"]), reverse=True)
        ]
        results = {"name": row["name"], **_identity(row), "events": events}
        return to_json(
            {"results": results, "status": self.status, "request_id": request_id(symbol)}
        )

    def types(self, request: Request) -> Response:
        kinds = (("CS", "Common Stock"), ("ETF", "Exchange Traded Fund"))
        return listing(
            [
                {"code": code, "description": text, "asset_class": "stocks", "locale": "us"}
                for code, text in kinds
            ]
        )

    def exchanges(self, request: Request) -> Response:
        named = ((10, "New York Stock Exchange", "XNYS"), (12, "Nasdaq", "XNAS"))
        return listing(
            [
                {
                    "id": number,
                    "type": "exchange",
                    "asset_class": "stocks",
                    "locale": "us",
                    "name": name,
                    "mic": mic,
                    "operating_mic": mic,
                }
                for number, name, mic in named
            ]
        )

    def conditions(self, request: Request) -> Response:
        """Answer which fields of a bar a trade of each condition may change."""
        return listing([_condition(*rule) for rule in CONDITIONS])

    def splits(self, request: Request) -> Response:
        """Answer `/v3/reference/splits` and, with the type named, `/stocks/v1/splits`."""
        request = from_cursor(request)
        modern = request.path.startswith("/stocks/")
        items = [_split(split, modern=modern) for split in self.as_of.market.splits()]
        matching = [item for item in items if _matches(request, item, ("ticker", "execution_date"))]
        most = 5000 if modern else 1000
        return self._page(request, matching, key="execution_date", default=100, most=most)

    def dividends(self, request: Request) -> Response:
        request = from_cursor(request)
        modern = request.path.startswith("/stocks/")
        items = [_dividend(dividend, modern=modern) for dividend in self.as_of.market.dividends()]
        dates = ("ticker", "ex_dividend_date", "record_date", "pay_date", "declaration_date")
        matching = [item for item in items if _matches(request, item, dates)]
        most = 5000 if modern else 1000
        return self._page(request, matching, key="ex_dividend_date", default=100, most=most)

    def status_now(self, request: Request) -> Response:
        """Answer whether the market is open at the simulation's time."""
        now = self.as_of.clock.now()
        local = now.astimezone(NEW_YORK)
        state, early, after = market_state(self.as_of.market.calendar, now)
        return to_json(
            {
                "market": state,
                "earlyHours": early,
                "afterHours": after,
                "serverTime": local.isoformat(timespec="seconds"),
                "exchanges": dict.fromkeys(("nyse", "nasdaq", "otc"), state),
                "currencies": {"fx": "open", "crypto": "open"},
                "indicesGroups": {"s_and_p": state, "nasdaq": state},
            }
        )

    def status_upcoming(self, request: Request) -> Response:
        """Answer the bare array of coming holidays and early closes, one row per exchange."""
        calendar = self.as_of.market.calendar
        today = self.as_of.clock.today()
        regular = Calendar(overrides=calendar.overrides)
        rows: list[dict[str, object]] = []
        days: list[tuple[date, MinuteGrid | None]] = [
            (day, None) for day in regular.closed_days(today, today + _HOLIDAYS_AHEAD)
        ]
        for session in regular.sessions(today, today + _HOLIDAYS_AHEAD):
            grid = regular.grid(session)
            if grid.end < regular.width:
                days.append((session, grid))
        for day, grid in sorted(days, key=lambda item: item[0]):
            row: dict[str, object] = {"date": str(day), "name": "Holiday"}
            row["status"] = "closed" if grid is None else "early-close"
            if grid is not None:
                row |= {"open": _iso(grid.opens_at), "close": _iso(grid.closes_at)}
            rows += [{"exchange": exchange, **row} for exchange in ("NYSE", "NASDAQ")]
        return to_json(rows)

    def _listing(self, identifier: str, on: date) -> dict[str, Any] | None:
        """Return who has a symbol or FIGI on a day, else who had it last before."""
        named = (pl.col("symbol") == identifier) | (pl.col("figi") == identifier)
        begun = pl.col("listed_on").is_null() | (pl.col("listed_on") <= on)
        rows = self.as_of.market.listings().filter(named & begun)
        rows = rows.sort("listed_on", nulls_last=False)
        return rows.row(-1, named=True) if rows.height else None

    def _wanted(self, request: Request, row: dict[str, object]) -> bool:
        symbol = str(row["symbol"])
        search = request.query.get("search", "").lower()
        return (
            _matches(request, {"ticker": symbol}, ("ticker",))
            and request.query.get("type", row["type"]) == row["type"]
            and request.query.get("exchange", row["exchange"]) == row["exchange"]
            and request.query.get("market", "stocks") == "stocks"
            and search in f"{symbol} {row['name']}".lower()
        )

    def _page(
        self, request: Request, items: list[dict[str, object]], *, key: str, default: int, most: int
    ) -> Response:
        limit = request.query.get("limit", str(default))
        if not limit.isdigit() or not 0 < int(limit) <= most:
            return bad_request(f"limit must be 1 to {most}")
        wanted = request.query.get("sort", key)
        field, _, direction = wanted.partition(".")
        descending = (direction or request.query.get("order", "asc")) == "desc"
        items = sorted(items, key=lambda item: str(item.get(field, "")), reverse=descending)
        start = int(request.query.get("page_marker", "0"))
        page = items[start : start + int(limit)]
        next_url = ""
        if start + int(limit) < len(items):
            kept = {k: v for k, v in request.query.items() if k not in {"cursor", "apiKey"}}
            cursor = to_cursor({**kept, "page_marker": str(start + int(limit))})
            next_url = f"{request.root}{request.path}?cursor={cursor}"
        return listing(page, status=self.status, next_url=next_url)


def market_state(calendar: Calendar, now: datetime) -> tuple[str, bool, bool]:
    """Return open, closed or extended-hours, and whether it is before or after regular hours."""
    day = now.astimezone(NEW_YORK).date()
    if not calendar.is_session(day):
        return "closed", False, False
    regular = Calendar(overrides=calendar.overrides).grid(day)
    whole = Calendar(extended=True, overrides=calendar.overrides).grid(day)
    if regular.opens_at <= now < regular.closes_at:
        return "open", False, False
    if not whole.opens_at <= now < whole.closes_at:
        return "closed", False, False
    return "extended-hours", now < regular.opens_at, now >= regular.closes_at


def _matches(request: Request, item: dict[str, object], fields: tuple[str, ...]) -> bool:
    return all(
        compare(str(item.get(field)), request.query[field + suffix])
        for field in fields
        for suffix, compare in _COMPARISONS.items()
        if field + suffix in request.query
    )


def _ticker(row: dict[str, Any], on: date, *, active: bool) -> dict[str, object]:
    delisted = row["delisted_on"]
    item: dict[str, object] = {
        "ticker": row["symbol"],
        "name": row["name"],
        "market": "stocks",
        "locale": "us",
        "primary_exchange": row["exchange"],
        "type": row["type"],
        "active": active,
        "currency_name": "usd",
        **_identity(row),
        "last_updated_utc": f"{on}T00:00:00Z",
    }
    if isinstance(delisted, date) and delisted <= on:
        item["delisted_utc"] = _iso(at_new_york(delisted, time(0)))
    return item


def _is_listed(row: dict[str, Any], on: date) -> bool:
    return row["delisted_on"] is None or on < row["delisted_on"]


def _identity(row: dict[str, Any]) -> dict[str, object]:
    """Return the numbers of a security; the vendor leaves out the keys it has no value for."""
    security = str(row["security"])
    digits = int.from_bytes(security.encode()[:8], "big") % 10**7
    identity: dict[str, object] = {"cik": f"{digits:010d}"}
    if row["figi"]:
        identity["composite_figi"] = row["figi"]
        identity["share_class_figi"] = figi_of(security, "share class")
    return identity


def _split(split: Split, *, modern: bool) -> dict[str, object]:
    item: dict[str, object] = {
        "id": request_id("split", split.symbol, split.executed_on),
        "ticker": split.symbol,
        "execution_date": str(split.executed_on),
        "split_from": split.split_from,
        "split_to": split.split_to,
    }
    if modern:
        forward = split.split_to > split.split_from
        item["adjustment_type"] = "forward_split" if forward else "reverse_split"
        item["historical_adjustment_factor"] = split.split_from / split.split_to
    return item


def _dividend(dividend: Dividend, *, modern: bool) -> dict[str, object]:
    item: dict[str, object] = {
        "id": request_id("dividend", dividend.symbol, dividend.ex_on),
        "ticker": dividend.symbol,
        "cash_amount": dividend.amount,
        "currency": "USD",
        "declaration_date": str(dividend.ex_on - timedelta(days=30)),
        "ex_dividend_date": str(dividend.ex_on),
        "record_date": str(dividend.ex_on),
        "pay_date": str(dividend.paid_on),
        "frequency": dividend.frequency,
    }
    item["distribution_type" if modern else "dividend_type"] = "recurring" if modern else "CD"
    if modern:
        item |= {"split_adjusted_cash_amount": dividend.amount, "historical_adjustment_factor": 1.0}
    return item


def _condition(number: int, name: str, updates: str) -> dict[str, object]:
    rules = {
        "updates_high_low": "h" in updates,
        "updates_open_close": "o" in updates,
        "updates_volume": "v" in updates,
    }
    return {
        "id": number,
        "type": "sale_condition",
        "name": name,
        "asset_class": "stocks",
        "data_types": ["trade"],
        "update_rules": {"consolidated": rules, "market_center": rules},
    }


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
