"""Finnhub's REST API under /finnhub/api/v1: quotes, candles, symbols, market status."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.simulator.http import Request, Response, Route, route, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket, known_between
from stock_platform.simulator.market.market import regular_hours
from stock_platform.simulator.scenario import Plan
from stock_platform.simulator.vendors.massive.reference import market_state

PREFIX = "/finnhub/api/v1"
NO_QUOTE = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
NO_DATA = {"s": "no_data"}
OVER_THE_RATE = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
NO_ACCESS = {"error": "You don't have access to this resource."}
_RESOLUTIONS = {"1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h"}
_SLOW = {"D": "1d", "W": "1w", "M": "1mo"}


@dataclass(frozen=True, slots=True)
class Finnhub:
    """Finnhub over one book."""

    as_of: PointInTimeMarket
    plan: Plan

    def routes(self) -> list[Route]:
        return [
            route(f"{PREFIX}/quote", self.quote),
            route(f"{PREFIX}/stock/candle", self.candle),
            route(f"{PREFIX}/stock/symbol", self.symbols),
            route(f"{PREFIX}/stock/market-status", self.market_status),
            route(f"{PREFIX}/stock/market-holiday", self.holidays),
            route(f"{PREFIX}/stock/split", self.splits),
            route(f"{PREFIX}/stock/dividend", self.dividends),
        ]

    def quote(self, request: Request) -> Response:
        """Answer the last trade of the day; an unknown symbol is zeros with status 200."""
        found = self.as_of.latest(request.query.get("symbol", ""))
        if found is None:
            return to_json(NO_QUOTE)
        session, bars = found
        last = bars.row(-1, named=True)
        earlier = [day for day in self.as_of.market.sessions if day < session]
        before = self.as_of.daily_of(last["symbol"], earlier[-1], earlier[-1]) if earlier else None
        previous = before["close"][0] if before is not None and before.height else last["open"]
        change = round(last["close"] - previous, 4)
        return to_json(
            {
                "c": last["close"],
                "d": change,
                "dp": round(100 * change / previous, 4),
                "h": bars["high"].max(),
                "l": bars["low"].min(),
                "o": bars["open"][0],
                "pc": previous,
                "t": int(last["minute"].timestamp()) + 59,
            }
        )

    def candle(self, request: Request) -> Response:
        """Answer bars as columns; daily ones are split-adjusted, intraday ones as traded."""
        if not self.plan.finnhub_candles:
            return to_json(NO_ACCESS, status=403)
        symbol, resolution = request.query.get("symbol", ""), request.query.get("resolution", "D")
        try:
            first, last = (
                datetime.fromtimestamp(int(request.query[name]), UTC) for name in ("from", "to")
            )
        except (KeyError, ValueError):
            return to_json({"error": "Wrong parameters"}, status=422)
        days = (first.astimezone(NEW_YORK).date(), last.astimezone(NEW_YORK).date())
        if resolution in _RESOLUTIONS:
            if last - first > timedelta(days=31):
                return to_json({"error": "At most one month of intraday data"}, status=422)
            parts = [self.as_of.minute_bars(symbol, day) for day in self.as_of.sessions(*days)]
            bars = known_between(pl.concat(parts), first, last) if parts else pl.DataFrame()
            every = _RESOLUTIONS[resolution]
        elif resolution in _SLOW:
            bars = self.as_of.adjusted(self.as_of.daily_of(symbol, *days), "session")
            bars = bars.with_columns(minute=pl.col("session").cast(pl.Datetime("us", "UTC")))
            every = _SLOW[resolution]
        else:
            return to_json({"error": "Wrong resolution"}, status=422)
        return _columns(bars, every)

    def symbols(self, request: Request) -> Response:
        rows = self.as_of.market.listings().iter_rows(named=True)
        return to_json(
            [
                {
                    "currency": "USD",
                    "description": row["name"].upper(),
                    "displaySymbol": row["symbol"],
                    "figi": "",
                    "mic": row["exchange"],
                    "symbol": row["symbol"],
                    "type": "ETP" if row["type"] == "ETF" else "Common Stock",
                }
                for row in rows
            ]
        )

    def market_status(self, request: Request) -> Response:
        now = self.as_of.clock.now()
        state, early, after = market_state(self.as_of.market.calendar, now)
        session = {"open": "regular", "closed": None}.get(state, "pre-market")
        session = "post-market" if after else session
        return to_json(
            {
                "exchange": "US",
                "timezone": str(NEW_YORK),
                "session": "pre-market" if early else session,
                "holiday": None,
                "isOpen": state == "open",
                "t": int(now.timestamp()),
            }
        )

    def holidays(self, request: Request) -> Response:
        """Answer the coming closures; `tradingHour` is filled on half-days."""
        calendar = Calendar(overrides=self.as_of.market.calendar.overrides)
        today = self.as_of.clock.today()
        year = today + timedelta(days=365)
        rows = [
            {"eventName": "Holiday", "atDate": str(day), "tradingHour": ""}
            for day in calendar.closed_days(today, year)
        ]
        for session in calendar.sessions(today, year):
            closes = regular_hours(calendar, session)[1].astimezone(NEW_YORK)
            if closes.hour < 16:
                hours = f"09:30-{closes:%H:%M}"
                rows.append({"eventName": "Early", "atDate": str(session), "tradingHour": hours})
        rows.sort(key=lambda row: row["atDate"], reverse=True)
        return to_json({"data": rows, "exchange": "US", "timezone": str(NEW_YORK)})

    def splits(self, request: Request) -> Response:
        return to_json(
            [
                {
                    "symbol": split.symbol,
                    "date": str(split.executed_on),
                    "fromFactor": split.split_from,
                    "toFactor": split.split_to,
                }
                for split in self.as_of.market.splits()
                if split.symbol == request.query.get("symbol")
            ]
        )

    def dividends(self, request: Request) -> Response:
        return to_json(
            [
                {
                    "symbol": dividend.symbol,
                    "date": str(dividend.ex_on),
                    "amount": dividend.amount,
                    "adjustedAmount": dividend.amount,
                    "payDate": str(dividend.paid_on),
                    "currency": "USD",
                }
                for dividend in self.as_of.market.dividends()
                if dividend.symbol == request.query.get("symbol")
            ]
        )


def _columns(bars: pl.DataFrame, every: str) -> Response:
    if not bars.height:
        return to_json(NO_DATA)
    if every not in {"1m", "1d"}:
        bars = (
            bars.group_by(pl.col("minute").dt.truncate(every), maintain_order=True)
            .agg(
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                pl.col("close").last(),
                pl.col("volume").sum().round(6),
            )
            .sort("minute")
        )
    names = (("c", "close"), ("h", "high"), ("l", "low"), ("o", "open"), ("v", "volume"))
    answer: dict[str, object] = {letter: bars[name].to_list() for letter, name in names}
    return to_json(answer | {"t": bars["minute"].dt.epoch("s").to_list(), "s": "ok"})


def authorized(request: Request, keys: tuple[str, ...]) -> Response | None:
    """Return the vendor's 401, or None for a key of the scenario (query or header)."""
    key = request.query.get("token") or request.headers.get("x-finnhub-token", "")
    if key in keys:
        return None
    text = "Invalid API key." if key else "Please use an API key."
    return to_json({"error": text}, status=401)
