"""Massive's aggregates: ranges of bars, the grouped day, the previous day, open and close.

The three daily endpoints stamp the same day differently, on purpose: a range
has 00:00 New York, grouped and previous have 16:00 New York.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

import polars as pl

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.http import Request, Response, from_cursor, to_cursor, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket, known_between
from stock_platform.simulator.market.market import at_new_york, regular_hours
from stock_platform.simulator.vendors.massive.responses import bad_request, dated, envelope

LIMIT_DEFAULT, LIMIT_MAX = 5_000, 50_000
_EVERY = {"minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo", "quarter": "q"}
_MINUTES = {"minute", "hour"}


@dataclass(frozen=True, slots=True)
class Bars:
    """The aggregate endpoints over one book."""

    as_of: PointInTimeMarket
    status: str = "OK"

    def range(
        self,
        request: Request,
        *,
        symbol: str,
        multiplier: str,
        timespan: str,
        first: str,
        last: str,
    ) -> Response:
        """Answer `/v2/aggs/ticker/../range/..`; `limit` counts base bars, not results."""
        request = from_cursor(request)
        every = {**_EVERY, "second": "s", "year": "y"}.get(timespan)
        if every is None or not multiplier.isdigit() or int(multiplier) < 1:
            return bad_request(f"could not parse timespan {multiplier}/{timespan}")
        limit = request.query.get("limit", str(LIMIT_DEFAULT))
        if not limit.isdigit() or not 0 < int(limit) <= LIMIT_MAX:
            return bad_request(f"limit must be 1 to {LIMIT_MAX}")
        try:
            window = _window(first, last, int(multiplier), timespan)
        except ValueError:
            return bad_request("could not parse the time range")
        descending = request.query.get("sort", "asc") == "desc"
        base = self._base_bars(
            symbol, window, timespan, adjusted=request.flag("adjusted", default=True)
        )
        base = base.sort("at", descending=descending)
        used = _whole_windows(base, int(limit), _window_start(int(multiplier), timespan, every))
        results = _windows(used, int(multiplier), timespan, every, descending=descending)
        next_url = ""
        if base.height > used.height:
            edge = int(base["at"][used.height])
            path = f"{first}/{edge}" if descending else f"{edge}/{last}"
            kept = {
                key: request.query[key]
                for key in ("adjusted", "sort", "limit")
                if key in request.query
            }
            next_url = (
                f"{request.root}/v2/aggs/ticker/{quote(symbol)}/range/{multiplier}/{timespan}/{path}"
                f"?cursor={to_cursor(kept)}"
            )
        return envelope(
            results,
            status=self.status,
            next_url=next_url,
            ticker=symbol,
            adjusted=request.flag("adjusted", default=True),
            queryCount=used.height,
        )

    def grouped(self, request: Request, day: str) -> Response:
        """Answer the grouped day: one bar of every symbol, stamped 16:00 New York."""
        session = dated(day)
        if session is None:
            return bad_request("could not parse the date")
        adjusted = request.flag("adjusted", default=True)
        known = self.as_of.sessions(session, session)
        results = pl.DataFrame()
        if known:
            bars = self.as_of.daily_bars(session)
            bars = self.as_of.adjusted(bars, "session") if adjusted else bars
            results = _results(bars.with_columns(at=pl.lit(_stamp(session, time(16)))), "T")
        return envelope(results, status=self.status, adjusted=adjusted, queryCount=results.height)

    def previous(self, request: Request, symbol: str) -> Response:
        """Answer the last session that has ended, stamped 16:00 New York."""
        now = self.as_of.clock.now()
        adjusted = request.flag("adjusted", default=True)
        results = pl.DataFrame()
        for session in reversed(self.as_of.sessions(date.min, date.max)):
            if regular_hours(self.as_of.market.calendar, session)[1] > now:
                continue
            bars = self.as_of.daily_of(symbol, session, session)
            if bars.height:
                bars = self.as_of.adjusted(bars, "session") if adjusted else bars
                results = _results(bars.with_columns(at=pl.lit(_stamp(session, time(16)))), "T")
                break
        return envelope(
            results,
            status=self.status,
            ticker=symbol,
            adjusted=adjusted,
            queryCount=results.height,
        )

    def open_close(self, request: Request, symbol: str, day: str) -> Response:
        """Answer the flat object of `/v1/open-close`, with pre-market and after-hours prices."""
        session = dated(day)
        if session is None:
            return bad_request("could not parse the date")
        bars = self.as_of.daily_of(symbol, session, session)
        if not bars.height:
            return to_json({"status": "NOT_FOUND", "message": "Data not found."}, status=404)
        opens, closes = regular_hours(self.as_of.market.calendar, session)
        minutes = self.as_of.minute_bars(symbol, session)
        if request.flag("adjusted", default=True):
            bars = self.as_of.adjusted(bars, "session")
            minutes = self.as_of.adjusted(minutes.with_columns(session=pl.lit(session)), "session")
        row = bars.row(0, named=True)
        answer = {"status": self.status, "from": str(session), "symbol": symbol}
        answer |= {name: row[name] for name in ("open", "high", "low", "close", "volume")}
        early = minutes.filter(pl.col("minute") < opens)
        after = minutes.filter(pl.col("minute") >= closes)
        answer |= {"preMarket": early["open"][0]} if early.height else {}
        answer |= {"afterHours": after["close"][-1]} if after.height else {}
        return to_json(answer)

    def _base_bars(
        self, symbol: str, window: tuple[datetime, datetime], timespan: str, *, adjusted: bool
    ) -> pl.DataFrame:
        """Return the minute or day bars a range is made of, with `at` in Unix milliseconds."""
        first, last = (instant.astimezone(NEW_YORK).date() for instant in window)
        if timespan == "second":
            bars = self.as_of.market.minute_bars(date.min).with_columns(session=pl.lit(first))
            return bars.with_columns(at=pl.lit(0, pl.Int64))
        if timespan in _MINUTES:
            parts = [
                known_between(self.as_of.minute_bars(symbol, day), *window).with_columns(
                    session=pl.lit(day)
                )
                for day in self.as_of.sessions(first, last)
            ]
            if not parts:
                return pl.DataFrame(schema={"at": pl.Int64()})
            bars = pl.concat(parts).with_columns(at=pl.col("minute").dt.epoch("ms"))
        else:
            bars = self.as_of.daily_of(symbol, first, last).with_columns(at=_midnight("session"))
            low, high = (int(edge.timestamp() * 1000) for edge in window)
            bars = bars.filter(pl.col("at").is_between(low, high))
        return self.as_of.adjusted(bars, "session") if adjusted else bars


def _window(first: str, last: str, multiplier: int, timespan: str) -> tuple[datetime, datetime]:
    """Read from and to; the first moves back to its window's start, the last to its end."""
    start, end = _instant(first), _instant(last)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", last):
        end += timedelta(days=1, hours=2)
        end = end.astimezone(NEW_YORK).replace(hour=0, minute=0)
        end = end.astimezone(UTC) - timedelta(milliseconds=1)
    local = start.astimezone(NEW_YORK)
    if timespan == "minute":
        local = local.replace(second=0, microsecond=0)
        into_day = local.hour * 60 + local.minute
        local -= timedelta(minutes=into_day % multiplier)
    elif timespan == "hour":
        local = local.replace(minute=0, second=0, microsecond=0)
    elif timespan != "second":
        local = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if timespan == "week":
        local -= timedelta(days=(local.weekday() + 1) % 7)
    elif timespan in {"month", "quarter", "year"}:
        local = local.replace(day=1)
    return local.astimezone(UTC), end


def _instant(text: str) -> datetime:
    """Read a date (New York midnight) or Unix milliseconds."""
    if re.fullmatch(r"-?\d{5,}", text):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return at_new_york(date.fromisoformat(text), time(0))


def _windows(
    bars: pl.DataFrame, multiplier: int, timespan: str, every: str, *, descending: bool
) -> pl.DataFrame:
    """Aggregate base bars into windows of New York time; weeks begin on Sunday."""
    if not bars.height:
        return pl.DataFrame()
    if multiplier == 1 and timespan in {"minute", "day"}:
        return _results(bars)
    turnover = pl.col("vwap") * pl.col("volume")
    grouped = (
        bars.sort("at")
        .group_by(_window_start(multiplier, timespan, every).alias("at"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            (turnover.sum() / pl.col("volume").sum()).round(4).alias("vwap"),
            pl.col("volume").sum().round(6),
            pl.when(pl.col("transactions").count() > 0).then(pl.col("transactions").sum()),
        )
    )
    return _results(grouped.sort("at", descending=descending))


def _window_start(multiplier: int, timespan: str, every: str) -> pl.Expr:
    local = pl.from_epoch("at", time_unit="ms").dt.replace_time_zone("UTC")
    local = local.dt.convert_time_zone(str(NEW_YORK))
    if timespan == "week":
        local = local.dt.offset_by("1d").dt.truncate(f"{multiplier}w").dt.offset_by("-1d")
    else:
        local = local.dt.truncate(f"{multiplier}{every}")
    return local.dt.epoch("ms")


def _whole_windows(base: pl.DataFrame, limit: int, start: pl.Expr) -> pl.DataFrame:
    """Return the first `limit` base bars without a window that the limit would cut in two."""
    used = base.head(limit)
    if base.height <= limit:
        return used
    windows = base.head(limit + 1).select(start.alias("window"))["window"]
    whole = used.filter((windows != windows[-1]).head(limit))
    return whole if whole.height else used


_WORDS: Sequence[tuple[str, str]] = (
    ("volume", "v"),
    ("vwap", "vw"),
    ("open", "o"),
    ("close", "c"),
    ("high", "h"),
    ("low", "l"),
    ("at", "t"),
    ("transactions", "n"),
)


def _results(bars: pl.DataFrame, symbol_as: str = "") -> pl.DataFrame:
    """Rename to the vendor's letters; one without a letter is left out, not null."""
    first = [pl.col("symbol").alias(symbol_as)] if symbol_as else []
    named = [pl.col(ours).alias(theirs) for ours, theirs in _WORDS]
    rows = bars.select(*first, *named)
    return rows.drop([name for name in ("vw", "n") if rows[name].null_count() == rows.height])


def _midnight(column: str) -> pl.Expr:
    local = pl.col(column).cast(pl.Datetime("ms")).dt.replace_time_zone(str(NEW_YORK))
    return local.dt.epoch("ms").alias("at")


def _stamp(session: date, clock: time) -> int:
    return int(at_new_york(session, clock).timestamp() * 1000)
