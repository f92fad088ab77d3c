"""Finnhub: quotes on every plan, candles where the plan has them.

An unknown symbol is answered with a quote of zeros and HTTP 200, which is a
refusal in disguise and must not become a price of zero. Daily candles are
adjusted for splits: only those after the latest split are prices as traded.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.rejections import midnight, reject
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError, NotEntitledError, TransientError
from stock_platform.providers.factory import Capability, ProviderContext, Providers
from stock_platform.providers.quote_polling import Group, RawQuote, poll
from stock_platform.providers.sources import DailyResponse, QuoteResponse
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import Endpoint, HttpClient, utc_now
from stock_platform.providers.transport.revision_policy import RevisionPolicy
from stock_platform.settings import Settings

NAME = "finnhub"
ZERO_QUOTE = "a quote of zeros: the symbol is unknown or has never traded"
_MINUTE = timedelta(minutes=1)
_CANDLE = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def error_text(body: json_values.Json) -> str | None:
    """Return the error text of a response that came with HTTP 200 all the same."""
    text = body.get("error") if isinstance(body, dict) else None
    return None if text is None else str(text)


class Finnhub:
    """The provider: quotes, and candles where the plan has them."""

    name = NAME
    capabilities: frozenset[Capability] = frozenset({"quotes", "minute", "daily"})

    def is_configured(self, settings: Settings) -> bool:
        return bool(settings.finnhub.api_key.get_secret_value())

    def open(self, context: ProviderContext) -> Providers:
        settings = context.settings.finnhub
        keys = {"X-Finnhub-Token": settings.api_key}
        http = context.http(
            Endpoint(provider=NAME, url=settings.rest_url, keys=keys, error_text=error_text),
            per_minute=settings.requests_per_minute,
            per_second=settings.requests_per_second,
        )
        at_once = context.settings.requests.max_concurrent_requests
        opened = Providers(quotes=[FinnhubQuotes(http, at_once=at_once, clock=context.clock)])
        if settings.candles:
            candles = FinnhubCandles(http, context.revision, clock=context.clock)
            opened.minute, opened.daily = [candles], [candles]
            opened.requests_per_minute = settings.requests_per_minute
        return opened


class FinnhubQuotes:
    """One quote per call."""

    name = NAME

    def __init__(
        self, http: HttpClient, *, at_once: int = 8, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._http = http
        self._at_once = at_once
        self._clock = clock

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        """Request each of `symbols` now and stamp the quotes with `minute`."""
        return poll(
            self._fetch,
            symbols,
            provider=NAME,
            minute=minute,
            asked_at=self._clock(),
            at_once=self._at_once,
        )

    def _fetch(self, group: Group) -> list[RawQuote]:
        body = json_values.record(self._http.get_json("/quote", {"symbol": group[0]}), "a quote")
        return [to_quote(group[0], body)]


def to_quote(symbol: str, body: dict[str, object]) -> RawQuote:
    """Read one quote; `t` counts seconds."""
    if "c" not in body:
        raise InvalidDataError(f"{NAME}: expected a quote with c, found {sorted(body)[:8]}")
    zeros = all(body.get(key) in (None, 0, "0", "0.0") for key in ("c", "h", "l", "o", "pc", "t"))
    return {
        "symbol": symbol,
        "price": json_values.number(body.get("c")),
        "open": json_values.number(body.get("o")),
        "high": json_values.number(body.get("h")),
        "low": json_values.number(body.get("l")),
        "previous_close": json_values.number(body.get("pc")),
        "quoted_at": json_values.instant(body.get("t")),
        "wrong": ZERO_QUOTE if zeros else None,
    }


class FinnhubCandles:
    """Minute and daily bars of one symbol; `NotEntitledError` on the free plan."""

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
        """Request the minutes `first` to `last`; those not over yet are left out."""
        asked_at = self._clock()
        known = (asked_at - _MINUTE).replace(second=0, microsecond=0)
        last = min(last, known)
        if last < first:
            raise TransientError(
                f"{NAME}: the requested minutes are not over",
                delay_s=(first + _MINUTE - asked_at).total_seconds(),
            )
        revision = self._revision.of_minutes(session, asked_at)
        rows = self._candles(symbol, "1", int(first.timestamp()), int(last.timestamp()))
        raw = _provenance(rows, symbol, revision, asked_at).with_columns(
            json_values.instants(rows["t"]).alias("minute")
        )
        validated = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")
        inside = pl.col("minute").is_between(first, last)
        strays = reject(
            validated.bars.filter(~inside),
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
            bars=bars.merge(bars.MINUTE_BARS, validated.bars.filter(inside)),
            rejected=pl.concat([validated.rejected, strays]),
        )

    def daily_bars(self, session: date) -> DailyResponse:
        """Raise `NotEntitledError`: no response covers all symbols at once."""
        raise NotEntitledError(
            f"{NAME}: has daily bars of one symbol at a time, not all of {session}"
        )

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        """Request the sessions `first` to `last`; bars before a later split are rejected."""
        asked_at = self._clock()
        last = min(last, self._revision.latest_closed(asked_at))
        if last < first:
            raise TransientError(f"{NAME}: the session {first} has not closed")
        split_on = self._latest_split(symbol, first, asked_at)
        start, end = (datetime.combine(day, datetime.min.time(), NEW_YORK) for day in (first, last))
        rows = self._candles(
            symbol, "D", int(start.timestamp()), int((end + timedelta(days=1)).timestamp()) - 1
        )
        revision = self._revision.of_day(last, asked_at)
        raw = _provenance(rows, symbol, revision, asked_at).with_columns(
            pl.Series("session", [_session_of(t) for t in rows["t"]], dtype=pl.Date)
        )
        validated = bars.validate_bars(raw, bars.DAILY_BARS, dataset="daily_bars")
        reason = (
            pl.when(~pl.col("session").is_between(first, last))
            .then(pl.lit("outside the sessions asked for"))
            .when(pl.col("session") < (split_on or date.min))
            .then(pl.lit("adjusted for a later split: the traded price is not known"))
        )
        checked = validated.bars.with_columns(reason.alias("reason"))
        bad = checked.filter(pl.col("reason").is_not_null())
        strays = [
            reject(
                part.drop("reason"),
                str(why),
                dataset="daily_bars",
                at=midnight(pl.col("session")),
            )
            for (why,), part in bad.group_by("reason", maintain_order=True)
        ]
        return DailyResponse(
            provider=NAME,
            first=first,
            last=last,
            symbols=(symbol,),
            asked_at=asked_at,
            revision=revision,
            bars=bars.merge(bars.DAILY_BARS, checked.filter(pl.col("reason").is_null())),
            rejected=pl.concat([validated.rejected, *strays]),
        )

    def _candles(
        self, symbol: str, resolution: str, first_s: int, last_s: int
    ) -> dict[str, list[object]]:
        body = self._http.get_json(
            "/stock/candle",
            {"symbol": symbol, "resolution": resolution, "from": first_s, "to": last_s},
        )
        return to_columns(json_values.record(body, "candles"))

    def _latest_split(self, symbol: str, first: date, asked_at: datetime) -> date | None:
        today = asked_at.astimezone(NEW_YORK).date()
        body = self._http.get_json(
            "/stock/split", {"symbol": symbol, "from": str(first), "to": str(today)}
        )
        days = [row.get("date") for row in json_values.records(body, "splits")]
        try:
            return max((date.fromisoformat(str(day)) for day in days), default=None)
        except ValueError:
            raise InvalidDataError(f"{NAME}: expected splits with an ISO date") from None


def to_columns(body: dict[str, object]) -> dict[str, list[object]]:
    """Read candles into columns of equal length; `no_data` is no rows."""
    keys = ("t", *_CANDLE.values())
    if body.get("s") == "no_data":
        return {key: [] for key in keys}
    if body.get("s") != "ok":
        raise InvalidDataError(f"{NAME}: expected s to be ok or no_data")
    columns = {key: body.get(key) for key in keys}
    lists = {key: column for key, column in columns.items() if isinstance(column, list)}
    if len(lists) < len(keys) or len({len(column) for column in lists.values()}) != 1:
        raise InvalidDataError(f"{NAME}: expected {', '.join(keys)} as lists of equal length")
    return lists


def _provenance(
    rows: dict[str, list[object]], symbol: str, revision: Revision, asked_at: datetime
) -> pl.DataFrame:
    columns = {
        name: pl.Series([json_values.number(value) for value in rows[key]], dtype=pl.String)
        for name, key in _CANDLE.items()
    }
    return pl.DataFrame(columns).with_columns(
        symbol=pl.lit(symbol),
        provider=pl.lit(NAME),
        revision=pl.lit(revision.value),
        observed_at=pl.lit(asked_at),
    )


def _session_of(seconds: object) -> date | None:
    # Finnhub stamps a day with 00:00 UTC of its date.
    at = json_values.instant(seconds)
    return at.date() if at else None
