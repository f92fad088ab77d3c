"""The Redis contract: the JSON of each kind of key, field by field, in this order.

Every value ends with `updatedAt`, ISO 8601 in UTC with milliseconds: it is put on when
the value is set.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from stock_platform.stream.events import MS_END, Bar, Fmv, Number, Quote, Trade, to_ms

_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")

Exact = Number | msgspec.Raw


class MinuteValue(msgspec.Struct, gc=False):
    """`stock:agg1m:{SYMBOL}`; start and end in ms since the epoch, both inclusive."""

    symbol: str
    start: int
    end: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Exact
    vwap: Number


class FmvValue(msgspec.Struct, gc=False):
    """`stock:fmv:{SYMBOL}`."""

    symbol: str
    price: Number
    ts: int


class TradeValue(msgspec.Struct, gc=False):
    """`stock:trade:{SYMBOL}`."""

    symbol: str
    price: Number
    ts: int
    size: Exact
    conditions: list[int]


class QuoteValue(msgspec.Struct, gc=False):
    """`stock:quote:{SYMBOL}`."""

    symbol: str
    bid: Number
    bidSize: Number
    ask: Number
    askSize: Number
    ts: int


def number(text: str | None, plain: Number) -> Exact:
    """Prefer the decimal text, digit for digit as a JSON number, when it is one."""
    if text is not None and _DECIMAL.fullmatch(text):
        return msgspec.Raw(text.encode())
    return plain


def _ms(time: int) -> int:
    # Called for every event: the common unit needs no second call.
    return time if time < MS_END else to_ms(time)


def _quote_value(event: Quote) -> QuoteValue:
    return QuoteValue(event.sym, event.bp, event.bs, event.ap, event.as_, _ms(event.t))


def _trade_value(event: Trade) -> TradeValue:
    size = event.s if event.ds is None else number(event.ds, event.s)
    return TradeValue(event.sym, event.p, _ms(event.t), size, event.c or [])


def _fmv_value(event: Fmv) -> FmvValue:
    return FmvValue(event.sym, event.fmv, _ms(event.t))


def _minute_value(bar: Bar) -> MinuteValue:
    # The vendor's end is the start of the next minute; the contract's is the last millisecond.
    end = bar.e - 1 if bar.e and bar.e % 1000 == 0 else bar.e or bar.s + 59_999
    volume = number(bar.dv, bar.v)
    return MinuteValue(bar.sym, bar.s, end, bar.o, bar.h, bar.l, bar.c, volume, bar.vw)


TO_VALUE: dict[type, Callable[[Any], msgspec.Struct]] = {
    Bar: _minute_value,
    Fmv: _fmv_value,
    Trade: _trade_value,
    Quote: _quote_value,
}
