"""Massive's snapshots, last trade and quote, and the histories of trades and quotes."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.http import Request, Response, from_cursor, to_cursor, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.market import at_new_york, listed
from stock_platform.simulator.market.ticks import quotes_of, trades_of
from stock_platform.simulator.scenario import Feed
from stock_platform.simulator.vendors.massive.responses import (
    bad_request,
    listing,
    not_found,
    request_id,
)

_MOVERS = 20
_BOUNDS = ("timestamp", "timestamp.gte", "timestamp.gt", "timestamp.lte", "timestamp.lt")
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Ticks:
    """The endpoints below the minute, over one book."""

    as_of: PointInTimeMarket
    feed: Feed
    status: str = "OK"

    def snapshots(self, request: Request) -> Response:
        """Answer the snapshot of the symbols in `tickers`, or of all."""
        wanted = [name for name in request.query.get("tickers", "").split(",") if name]
        rows = self._snapshots(wanted or None)
        return to_json({"count": len(rows), "status": self.status, "tickers": rows})

    def snapshot(self, request: Request, symbol: str) -> Response:
        rows = self._snapshots([symbol])
        if not rows:
            return not_found()
        answer = {"request_id": request_id(symbol), "status": self.status, "ticker": rows[0]}
        return to_json(answer)

    def movers(self, request: Request, direction: str) -> Response:
        if direction not in {"gainers", "losers"}:
            return not_found("Not found.")
        rows = sorted(
            self._snapshots(None),
            key=lambda row: row["todaysChangePerc"],
            reverse=direction == "gainers",
        )
        return to_json({"status": self.status, "tickers": rows[:_MOVERS]})

    def universal(self, request: Request) -> Response:
        """Answer `/v3/snapshot`: at most 250 symbols, an error in the row of an unknown one."""
        names = [name for name in request.query.get("ticker.any_of", "").split(",") if name]
        if len(names) > 250:
            return bad_request("ticker.any_of takes at most 250 tickers")
        known = {row["ticker"]: row for row in self._snapshots(names or None)}
        rows = [_universal(name, known.get(name)) for name in names or list(known)[:10]]
        return listing(rows, status=self.status)

    def last_trade(self, request: Request, symbol: str) -> Response:
        trades = self._last_minute(symbol, trades_of, self.feed.trades_per_minute_max)
        if not trades.height:
            return not_found()
        row = trades.row(-1, named=True)
        results = {
            "T": symbol,
            "c": [14, 41],
            "i": str(row["sequence"]),
            "p": row["price"],
            "s": int(row["size"]),
            "ds": f"{row['size']:.6f}",
            "x": row["exchange"],
            "z": 3,
            "t": row["sip_ns"],
            "y": row["sip_ns"] - 250_000,
            "q": row["sequence"],
        }
        return to_json(
            {"results": results, "status": self.status, "request_id": request_id(symbol)}
        )

    def last_quote(self, request: Request, symbol: str) -> Response:
        quotes = self._last_minute(symbol, quotes_of, self.feed.quotes_per_minute_max)
        if not quotes.height:
            return not_found()
        row = quotes.row(-1, named=True)
        results = {
            "T": symbol,
            "p": row["bid"],
            "s": row["bid_size"],
            "P": row["ask"],
            "S": row["ask_size"],
            "x": 19,
            "X": 11,
            "z": 3,
            "t": row["sip_ns"],
            "y": row["sip_ns"] - 250_000,
            "q": row["sequence"],
        }
        return to_json(
            {"results": results, "status": self.status, "request_id": request_id(symbol)}
        )

    def trades(self, request: Request, symbol: str) -> Response:
        """Answer the history of trades, newest first unless asked otherwise."""
        columns = {
            "conditions": pl.lit(pl.Series([[14, 41]])).first(),
            "exchange": pl.col("exchange"),
            "id": pl.col("sequence").cast(pl.String),
            "participant_timestamp": pl.col("sip_ns") - 250_000,
            "price": pl.col("price"),
            "sequence_number": pl.col("sequence"),
            "sip_timestamp": pl.col("sip_ns"),
            "size": pl.col("size").floor().cast(pl.Int64),
            "decimal_size": pl.col("size").cast(pl.Decimal(18, 6)).cast(pl.String),
            "tape": pl.lit(3),
        }
        bars = self._ticks(request, symbol, trades_of, self.feed.trades_per_minute_max)
        return self._history(request, symbol, bars, columns)

    def quotes(self, request: Request, symbol: str) -> Response:
        columns = {
            "ask_exchange": pl.lit(11),
            "ask_price": pl.col("ask"),
            "ask_size": pl.col("ask_size"),
            "bid_exchange": pl.lit(19),
            "bid_price": pl.col("bid"),
            "bid_size": pl.col("bid_size"),
            "participant_timestamp": pl.col("sip_ns") - 250_000,
            "sequence_number": pl.col("sequence"),
            "sip_timestamp": pl.col("sip_ns"),
            "tape": pl.lit(3),
        }
        bars = self._ticks(request, symbol, quotes_of, self.feed.quotes_per_minute_max)
        return self._history(request, symbol, bars, columns)

    def _history(
        self, request: Request, symbol: str, ticks: pl.DataFrame | None, columns: dict[str, pl.Expr]
    ) -> Response:
        request = from_cursor(request)
        limit = request.query.get("limit", "1000")
        if ticks is None or not limit.isdigit() or not 0 < int(limit) <= 50_000:
            return bad_request("could not parse timestamp or limit")
        start = int(request.query.get("page_marker", "0"))
        order = request.query.get("order", "desc")
        page = ticks.sort("sip_ns", "sequence", descending=order != "asc").slice(start, int(limit))
        next_url = ""
        if start + page.height < ticks.height:
            kept = {k: v for k, v in request.query.items() if k not in {"cursor", "apiKey"}}
            cursor = to_cursor({**kept, "page_marker": str(start + page.height)})
            next_url = f"{request.root}{request.path}?cursor={cursor}"
        rows = page.select(expression.alias(name) for name, expression in columns.items())
        return listing(rows.to_dicts(), status=self.status, next_url=next_url)

    def _ticks(self, request: Request, symbol: str, make, per_minute: int) -> pl.DataFrame | None:
        request = from_cursor(request)
        try:
            first, last = _bounds(request)
        except ValueError:
            return None
        days = (
            datetime.fromtimestamp(edge / 1e9, UTC).astimezone(NEW_YORK).date()
            for edge in (first, last)
        )
        parts = [self.as_of.minute_bars(symbol, day) for day in self.as_of.sessions(*days)]
        if not parts:
            return make(self.as_of.market.minute_bars(date.min), per_minute)
        return make(pl.concat(parts), per_minute).filter(pl.col("sip_ns").is_between(first, last))

    def _last_minute(self, symbol: str, make, per_minute: int) -> pl.DataFrame:
        found = self.as_of.latest(symbol)
        bars = found[1].tail(1) if found else self.as_of.market.minute_bars(date.min)
        return make(bars, per_minute)

    def _snapshots(self, wanted: list[str] | None) -> list[dict]:
        sessions = self.as_of.sessions(date.min, date.max)
        if not sessions:
            return []
        today = sessions[-1]
        before = self.as_of.daily_bars(sessions[-2]) if len(sessions) > 1 else None
        bars = self.as_of.session_bars(today)
        names = set(listed(self.as_of.market, today))
        chosen = [name for name in (wanted or sorted(names)) if name in names]
        last = {row["symbol"]: row for row in _last_rows(bars, chosen)}
        days = {row["symbol"]: row for row in self.as_of.daily_bars(today).to_dicts()}
        earlier = {row["symbol"]: row for row in before.to_dicts()} if before is not None else {}
        return [
            _snapshot(name, days.get(name), last.get(name), earlier.get(name)) for name in chosen
        ]


def _last_rows(bars: pl.DataFrame, names: list[str]) -> list[dict]:
    rows = bars.with_columns(av=pl.col("volume").cum_sum().over("symbol"))
    rows = rows.filter(pl.col("symbol").is_in(names))
    return rows.unique("symbol", keep="last", maintain_order=True).to_dicts()


def _snapshot(symbol: str, day: dict | None, last: dict | None, before: dict | None) -> dict:
    price = last["close"] if last else 0.0
    was = before["close"] if before else 0.0
    at_ns = int((last["minute"] + timedelta(seconds=59)).timestamp() * 1e9) if last else 0
    minute = {"av": 0, "o": 0, "h": 0, "l": 0, "c": 0, "v": 0, "vw": 0, "t": 0, "n": 0}
    if last:
        minute = _letters(last) | {
            "av": int(last["av"]),
            "t": int(last["minute"].timestamp() * 1000),
            "n": last["transactions"] or 0,
        }
    return {
        "ticker": symbol,
        "todaysChange": round(price - was, 4) if was and price else 0.0,
        "todaysChangePerc": round((price / was - 1) * 100, 4) if was and price else 0.0,
        "updated": at_ns,
        "day": _letters(day),
        "min": minute,
        "prevDay": _letters(before),
        "lastTrade": {"c": [14, 41], "i": "1", "p": price, "s": 100, "t": at_ns, "x": 12},
        "lastQuote": {
            "p": round(price - 0.01, 2) if price else 0.0,
            "P": round(price + 0.01, 2) if price else 0.0,
            "s": 1,
            "S": 2,
            "t": at_ns,
        },
        "fmv": price,
    }


def _letters(row: dict | None) -> dict:
    names = (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume"))
    row = row or {}
    return {letter: row.get(name) or 0 for letter, name in (*names, ("vw", "vwap"))}


def _universal(symbol: str, row: dict | None) -> dict:
    if row is None:
        return {"ticker": symbol, "error": "NOT_FOUND", "message": "Ticker not found."}
    day = row["day"]
    session = {"open": day["o"], "high": day["h"], "low": day["l"], "close": day["c"]}
    session |= {"volume": day["v"], "change": row["todaysChange"]}
    session |= {"change_percent": row["todaysChangePerc"], "previous_close": row["prevDay"]["c"]}
    return {
        "ticker": symbol,
        "type": "stocks",
        "market_status": "closed",
        "session": session,
        "last_trade": {"price": row["lastTrade"]["p"], "sip_timestamp": row["updated"]},
        "last_quote": {"bid": row["lastQuote"]["p"], "ask": row["lastQuote"]["P"]},
        "last_minute": {"close": row["min"]["c"], "volume": row["min"]["v"]},
    }


def _bounds(request: Request) -> tuple[int, int]:
    """Return the first and last nanosecond that the timestamp parameters let through."""
    first, last = 0, 2**62
    for name in _BOUNDS:
        text = request.query.get(name)
        if text is None:
            continue
        is_day = re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
        at = _midnight_ns(text) if is_day else int(text)
        if name in {"timestamp", "timestamp.gte"}:
            first = max(first, at)
        if name == "timestamp":
            last = min(last, at + _DAY_NS - 1 if is_day else at)
        elif name == "timestamp.gt":
            first = max(first, at + 1)
        elif name == "timestamp.lte":
            last = min(last, at + _DAY_NS - 1 if is_day else at)
        elif name == "timestamp.lt":
            last = min(last, at - 1)
    return first, min(last, _midnight_ns("2200-01-01"))


def _midnight_ns(day: str) -> int:
    return int(at_new_york(date.fromisoformat(day), time(0)).timestamp()) * 1_000_000_000
