"""Listed symbols, corporate actions and the state of the market, from Massive."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from urllib.parse import quote

import polars as pl
import structlog

from stock_platform.domain import reference
from stock_platform.domain.symbols import is_symbol_expr
from stock_platform.errors import InvalidDataError
from stock_platform.providers.massive.bars import NAME
from stock_platform.providers.massive.paging import pages, results
from stock_platform.providers.sources import Closure, MarketStatus, SecurityDetails
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import HttpClient, NotFoundError, Params, utc_now

LIMIT_TICKERS = 1_000
LIMIT_ACTIONS = 5_000
LIMIT_ACTIONS_OLD = 1_000
_CHANGES = pl.Schema({"symbol": pl.String(), "changed_on": pl.Date()})
_log = structlog.get_logger(__name__)


class MassiveReference:
    """Reference data; the endpoints of 2026 first, the deprecated ones where those are missing."""

    name = NAME

    def __init__(self, http: HttpClient, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._http = http
        self._clock = clock

    def symbols(self, on: date) -> pl.DataFrame:
        """Return the stocks active on a day; names no symbol can have are left out."""
        params: Params = {
            "market": "stocks",
            "active": "true",
            "date": str(on),
            "sort": "ticker",
            "order": "asc",
            "limit": LIMIT_TICKERS,
        }
        rows = self._rows("/v3/reference/tickers", params)
        frame = pl.DataFrame(
            {
                "symbol": json_values.texts(rows, "ticker"),
                "name": json_values.texts(rows, "name"),
                "type": json_values.texts(rows, "type"),
                "exchange": json_values.texts(rows, "primary_exchange"),
                "listed_on": _dates(rows, "list_date"),
                "delisted_on": _dates(rows, "delisted_utc"),
                "figi": json_values.texts(rows, "composite_figi"),
                "share_class_figi": json_values.texts(rows, "share_class_figi"),
                "cik": json_values.texts(rows, "cik"),
            }
        ).with_columns(provider=pl.lit(NAME), as_of=pl.lit(on))
        return _keyed(frame, reference.SYMBOLS, ("symbol",))

    def security(self, symbol: str, on: date) -> SecurityDetails | None:
        """Return the details of who has `symbol` on a day, else who had it last; None: nobody."""
        path = f"/v3/reference/tickers/{quote(symbol, safe='')}"
        try:
            answer = self._http.get_json(path, {"date": str(on)})
        except NotFoundError:
            return self._delisted(symbol, on)
        found = json_values.record(json_values.record(answer, "an answer").get("results"), symbol)
        return _details(symbol, found)

    def _delisted(self, symbol: str, on: date) -> SecurityDetails | None:
        """Return who had a symbol last, from the list of those no longer active."""
        params: Params = {
            "ticker": symbol,
            "market": "stocks",
            "active": "false",
            "date": str(on),
            "limit": LIMIT_TICKERS,
        }
        rows = self._rows("/v3/reference/tickers", params)
        found = [_details(symbol, row) for row in rows if row.get("ticker") == symbol]
        ended = [each for each in found if each.delisted_on and each.delisted_on <= on]
        return max(ended, key=lambda each: each.delisted_on or date.min, default=None)

    def symbol_changes(self, identifier: str) -> pl.DataFrame:
        """Return the symbols of a security with their first days; the endpoint is experimental."""
        path = f"/vX/reference/tickers/{quote(identifier, safe='')}/events"
        try:
            answer = self._http.get_json(path, {"types": "ticker_change"})
        except NotFoundError:
            return pl.DataFrame(schema=_CHANGES)
        results = json_values.record(json_values.record(answer, "an answer").get("results"), path)
        rows = json_values.records(results.get("events") or [], "the events")
        changes = [row.get("ticker_change") for row in rows]
        tickers = [change if isinstance(change, dict) else {} for change in changes]
        frame = pl.DataFrame(
            {"symbol": json_values.texts(tickers, "ticker"), "changed_on": _dates(rows, "date")},
            schema=_CHANGES,
        )
        usable = is_symbol_expr(pl.col("symbol")) & pl.col("changed_on").is_not_null()
        return frame.filter(usable).unique().sort("changed_on", "symbol")

    def splits(self, first: date, last: date) -> pl.DataFrame:
        """Return the splits executed on `first` to `last`."""
        rows = self._actions("splits", "execution_date", first, last)
        frame = pl.DataFrame(
            {
                "symbol": json_values.texts(rows, "ticker"),
                "executed_on": _dates(rows, "execution_date"),
                "split_from": json_values.numbers(rows, "split_from").cast(
                    pl.Float64, strict=False
                ),
                "split_to": json_values.numbers(rows, "split_to").cast(pl.Float64, strict=False),
            }
        ).filter(_positive("split_from") & _positive("split_to"))
        # Two splits of one day are two facts: which of them is right the bars decide.
        return _keyed(self._observed(frame), reference.SPLITS, list(frame.columns))

    def dividends(self, first: date, last: date) -> pl.DataFrame:
        """Return the dividends whose ex-date is on `first` to `last`."""
        rows = self._actions("dividends", "ex_dividend_date", first, last)
        kinds = [row.get("dividend_type") or row.get("distribution_type") for row in rows]
        amounts = json_values.numbers(rows, "cash_amount")
        frame = pl.DataFrame(
            {
                "symbol": json_values.texts(rows, "ticker"),
                "ex_on": _dates(rows, "ex_dividend_date"),
                "paid_on": _dates(rows, "pay_date"),
                "amount": amounts.cast(reference.DIVIDENDS["amount"], strict=False),
                "currency": json_values.texts(rows, "currency"),
                "frequency": json_values.numbers(rows, "frequency").cast(pl.Int64, strict=False),
                "kind": pl.Series(
                    [_kind(json_values.text(kind) or "") for kind in kinds], dtype=pl.String
                ),
            }
        ).filter(pl.col("amount") > 0)
        return _keyed(
            self._observed(frame),
            reference.DIVIDENDS,
            reference.DIVIDENDS_KEY,
            listed=frame.columns,
        )

    def market_status(self) -> MarketStatus:
        """Return whether the market trades now and which closures are announced."""
        now = json_values.record(self._http.get_json("/v1/marketstatus/now"), "the market's status")
        market, said_at = now.get("market"), _instant(now.get("serverTime"))
        if not isinstance(market, str) or said_at is None:
            raise InvalidDataError(f"{NAME}: expected market and serverTime, found neither")
        announced = self._http.get_json("/v1/marketstatus/upcoming")
        closures = [
            _closure(row) for row in json_values.records(announced, "the upcoming closures")
        ]
        return MarketStatus(
            provider=NAME, market=market, said_at=said_at, upcoming=tuple(filter(None, closures))
        )

    def _actions(self, kind: str, day: str, first: date, last: date) -> list[dict[str, object]]:
        span = {f"{day}.gte": str(first), f"{day}.lte": str(last)}
        try:
            return self._rows(f"/stocks/v1/{kind}", {**span, "limit": LIMIT_ACTIONS})
        except NotFoundError:
            # The old Polygon host and some gateways only know the deprecated endpoint.
            return self._rows(f"/v3/reference/{kind}", {**span, "limit": LIMIT_ACTIONS_OLD})

    def _rows(self, path: str, params: Params) -> list[dict[str, object]]:
        return [row for page in pages(self._http, path, params) for row in results(page)]

    def _observed(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(provider=pl.lit(NAME), observed_at=pl.lit(self._clock()))


def _details(symbol: str, row: dict[str, object]) -> SecurityDetails:
    return SecurityDetails(
        provider=NAME,
        symbol=symbol,
        listed_on=_date(row.get("list_date")),
        delisted_on=_date(row.get("delisted_utc")),
        figi=json_values.text(row.get("composite_figi")) or None,
        share_class_figi=json_values.text(row.get("share_class_figi")) or None,
        cik=json_values.text(row.get("cik")) or None,
        name=json_values.text(row.get("name")) or None,
    )


def _kind(text: str) -> str:
    return reference.DIVIDEND_KINDS.get(text, text.lower())


def _keyed(
    frame: pl.DataFrame, schema: pl.Schema, key: Iterable[str], listed: Iterable[str] = ()
) -> pl.DataFrame:
    """Return the usable rows, each once: rows equal in `listed` (else in `key`) are one."""
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in key)
    acceptable = is_symbol_expr(pl.col("symbol"))
    usable = frame.filter(known & acceptable)
    if usable.height < frame.height:
        _log.warning("reference_rows_left_out", provider=NAME, rows=frame.height - usable.height)
    return (
        usable.select(list(schema))
        .cast(schema)
        .sort(list(schema), nulls_last=True)
        .unique(list(listed) or list(key), keep="first", maintain_order=True)
    )


def _positive(name: str) -> pl.Expr:
    return pl.col(name).is_finite() & (pl.col(name) > 0)


def _dates(rows: Iterable[dict[str, object]], key: str) -> pl.Series:
    return pl.Series(key, [_date(row.get(key)) for row in rows], dtype=pl.Date)


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return at.astimezone(UTC) if at and at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _closure(row: dict[str, object]) -> Closure | None:
    day, status = _date(row.get("date")), row.get("status")
    if day is None or status not in ("closed", "early-close"):
        return None
    return Closure(
        day=day,
        exchange=json_values.text(row.get("exchange")) or "",
        name=json_values.text(row.get("name")) or "",
        closed=status == "closed",
        opens_at=_instant(row.get("open")),
        closes_at=_instant(row.get("close")),
    )
