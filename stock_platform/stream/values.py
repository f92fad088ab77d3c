"""The Redis contract: the JSON of each kind of key, field by field, in this order."""

import re

import msgspec

from stock_platform.stream.events import Number

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
    updatedAt: str


class FmvValue(msgspec.Struct, gc=False):
    """`stock:fmv:{SYMBOL}`."""

    symbol: str
    price: Number
    ts: int
    updatedAt: str


class TradeValue(msgspec.Struct, gc=False):
    """`stock:trade:{SYMBOL}`."""

    symbol: str
    price: Number
    ts: int
    size: Exact
    conditions: list[int]
    updatedAt: str


class QuoteValue(msgspec.Struct, gc=False):
    """`stock:quote:{SYMBOL}`."""

    symbol: str
    bid: Number
    bidSize: Number
    ask: Number
    askSize: Number
    ts: int
    updatedAt: str


def number(text: str | None, plain: Number) -> Exact:
    """Prefer the decimal text, digit for digit as a JSON number, when it is one."""
    if text is not None and _DECIMAL.fullmatch(text):
        return msgspec.Raw(text.encode())
    return plain
