"""Bars of Massive (formerly Polygon.io) over REST, always as traded.

`adjusted=true`, the vendor's default, rewrites past prices AND volumes when a
split executes; every call requests false and a response that has otherwise is
malformed. A daily bar carries one of three instants for the same session:
00:00 New York in a range, 16:00 in grouped and previous-close answers.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from urllib.parse import quote

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.rejections import midnight, reject
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError, TransientError
from stock_platform.providers.massive.paging import pages, results
from stock_platform.providers.sources import DailyResponse
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import HttpClient, utc_now
from stock_platform.providers.transport.revision_policy import RevisionPolicy

NAME = "massive"
LIMIT = 50_000
DELAY = timedelta(minutes=15)
"""How far behind a plan is whose responses are `DELAYED`."""
_MINUTE = timedelta(minutes=1)
_KEYS = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "vwap": "vw",
    "volume": "v",
    "transactions": "n",
}


class MassiveBars:
    """Minute and daily bars of one symbol, daily bars of all symbols."""

    name = NAME

    def __init__(
        self, http: HttpClient, revision: RevisionPolicy, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._http = http
        self._revision = revision
        self._clock = clock

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        """Request the minutes `first` to `last`; those not over or not public yet are left out."""
        asked_at = self._clock()
        last = _not_after(last, asked_at - _MINUTE, first=first)
        rows, delayed = self._range(symbol, f"1/minute/{_ms(first)}/{_ms(last)}")
        if delayed:
            last = _not_after(last, asked_at - _MINUTE - DELAY, first=first)
        revision = self._revision.of_minutes(session, asked_at)
        raw = _raw(rows, pl.lit(symbol), revision=revision, asked_at=asked_at).with_columns(
            json_values.instants(row.get("t") for row in rows).alias("minute")
        )
        sifted = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")
        inside = pl.col("minute").is_between(first, last)
        strays = reject(
            sifted.bars.filter(~inside),
            "outside the minutes asked for",
            dataset="minute_bars",
            at=pl.col("minute"),
        )
        return ProviderResponse(
            provider=NAME,
            session=session,
            symbols=(symbol,),
            first=first,
            last=last,
            asked_at=asked_at,
            revision=revision,
            bars=bars.merge(bars.MINUTE_BARS, sifted.bars.filter(inside)),
            rejected=pl.concat([sifted.rejected, strays]),
        )

    def daily_bars(self, session: date) -> DailyResponse:
        """Request one session of all symbols; `TransientError` before the session has closed."""
        asked_at = self._clock()
        self._refuse_running(session, asked_at)
        path = f"/v2/aggs/grouped/locale/us/market/stocks/{session}"
        params = {"adjusted": "false", "include_otc": "false"}
        rows = [row for page in pages(self._http, path, params) for row in _as_traded(page)]
        symbols = pl.lit(json_values.texts(rows, "T"))
        return self._daily(rows, symbols, span=(session, session), asked_at=asked_at, of=None)

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        """Request the sessions `first` to `last` of one symbol, up to the last one closed."""
        asked_at = self._clock()
        last = min(last, self._revision.latest_closed(asked_at))
        if last < first:
            raise TransientError(f"{NAME}: the session {first} has not closed")
        rows, _ = self._range(symbol, f"1/day/{first}/{last}")
        return self._daily(rows, pl.lit(symbol), span=(first, last), asked_at=asked_at, of=symbol)

    def _range(self, symbol: str, span: str) -> tuple[list[dict[str, object]], bool]:
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/{span}"
        rows: list[dict[str, object]] = []
        delayed = False
        for page in pages(self._http, path, {"adjusted": "false", "sort": "asc", "limit": LIMIT}):
            rows += _as_traded(page, symbol)
            delayed = delayed or page.get("status") == "DELAYED"
        return rows, delayed

    def _refuse_running(self, session: date, asked_at: datetime) -> None:
        left = (self._revision.regular_close(session) - asked_at).total_seconds()
        if left > 0:
            raise TransientError(f"{NAME}: the session {session} has not closed", delay_s=left)

    def _daily(
        self,
        rows: list[dict[str, object]],
        symbols: pl.Expr,
        *,
        span: tuple[date, date],
        asked_at: datetime,
        of: str | None,
    ) -> DailyResponse:
        first, last = span
        revision = self._revision.of_day(last, asked_at)
        raw = _raw(rows, symbols, revision=revision, asked_at=asked_at).with_columns(
            pl.Series("session", [_session_of(row) for row in rows], dtype=pl.Date)
        )
        sifted = bars.validate_bars(raw, bars.DAILY_BARS, dataset="daily_bars")
        inside = pl.col("session").is_between(first, last)
        strays = reject(
            sifted.bars.filter(~inside),
            "outside the sessions asked for",
            dataset="daily_bars",
            at=midnight(pl.col("session")),
        )
        return DailyResponse(
            provider=NAME,
            first=first,
            last=last,
            symbols=None if of is None else (of,),
            asked_at=asked_at,
            revision=revision,
            bars=bars.merge(bars.DAILY_BARS, sifted.bars.filter(inside)),
            rejected=pl.concat([sifted.rejected, strays]),
        )


def _as_traded(page: dict[str, object], symbol: str | None = None) -> list[dict[str, object]]:
    if page.get("adjusted") is True:
        raise InvalidDataError("expected bars as traded, found adjusted ones")
    if symbol is not None and page.get("ticker", symbol) != symbol:
        raise InvalidDataError("the answer is about another symbol")
    return results(page)


def _raw(
    rows: list[dict[str, object]], symbols: pl.Expr, *, revision: Revision, asked_at: datetime
) -> pl.DataFrame:
    columns = {name: json_values.numbers(rows, key) for name, key in _KEYS.items()}
    return pl.DataFrame(columns).with_columns(
        symbol=symbols,
        provider=pl.lit(NAME),
        revision=pl.lit(revision.value),
        observed_at=pl.lit(asked_at),
    )


def _session_of(row: dict[str, object]) -> date | None:
    at = json_values.instant(row.get("t"))
    return at.astimezone(NEW_YORK).date() if at else None


def _not_after(last: datetime, newest: datetime, *, first: datetime) -> datetime:
    """Return the earlier of `last` and the newest minute that can be known as a whole."""
    known = newest.replace(second=0, microsecond=0)
    if known < first:
        delay_s = (first - newest).total_seconds()
        raise TransientError(f"{NAME}: the requested minutes are not public yet", delay_s=delay_s)
    return min(last, known)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
