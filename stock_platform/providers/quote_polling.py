"""One round of polling: request groups of symbols, keep what came, return what did not.

An error of one symbol must not cost the others their quotes; an error of the whole account
(a wrong key, a plan without quotes, a provider that is down) must not be repeated 8,000
times. So a few groups are requested at a time, and a few without any response end the round.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain import quotes as quote
from stock_platform.domain.rejections import REJECTED, reject
from stock_platform.domain.symbols import is_symbol_expr
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.sources import QuoteResponse
from stock_platform.providers.transport.client import NotFoundError

PRICES = ("price", "open", "high", "low", "previous_close", "bid", "ask")

Group = tuple[str, ...]
Item = TypeVar("Item")
RawQuote = dict[str, object]
"""One quote as read: symbol, `PRICES` as text, quoted_at, and `wrong`: why it is refused."""


@dataclass(slots=True, kw_only=True)
class _Round:
    quotes: list[RawQuote] = field(default_factory=list)
    responded: int = 0
    not_entitled: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    delay_s: float | None = None
    worst: PlatformError | None = None


def poll(
    fetch: Callable[[Group], list[RawQuote]],
    symbols: Sequence[str],
    *,
    provider: str,
    minute: datetime,
    asked_at: datetime,
    group: int = 1,
    at_once: int = 8,
) -> QuoteResponse:
    """Request `symbols` in groups, `at_once` of them in parallel.

    Raises a `PermanentError` of any group, and any other error when no group got a
    response: then it concerns the whole round.
    """
    wanted = list(dict.fromkeys(symbols))
    found = _Round()
    groups = list(_in_parts(wanted, group))
    with ThreadPoolExecutor(at_once) as pool:
        for parts in _in_parts(groups, at_once):
            for part, outcome in zip(parts, pool.map(_caught(fetch), parts), strict=True):
                _record(found, part, outcome)
            if found.worst is not None and not found.responded:
                raise found.worst
    quotes, rejected = validate_quotes(
        found.quotes, provider=provider, minute=minute, observed_at=asked_at
    )
    seen = {row["symbol"] for row in found.quotes} | {*found.not_entitled, *found.failed}
    return QuoteResponse(
        provider=provider,
        minute=minute,
        asked_at=asked_at,
        quotes=quotes,
        rejected=rejected,
        refused=tuple(found.not_entitled),
        absent=tuple(name for name in wanted if name not in seen),
        failed=tuple(found.failed),
        delay_s=found.delay_s,
        detail=str(found.worst or ""),
    )


def validate_quotes(
    rows: list[RawQuote], *, provider: str, minute: datetime, observed_at: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split raw quotes into `RAW_QUOTES` and rejected ones; an optional price of 0 is none."""
    raw = pl.DataFrame(
        [
            {name: row.get(name) for name in ("symbol", *PRICES, "quoted_at", "wrong")}
            for row in rows
        ],
        schema={
            "symbol": pl.String(),
            **dict.fromkeys(PRICES, pl.String()),
            "quoted_at": bars.TIMESTAMP_US,
            "wrong": pl.String(),
        },
    ).with_columns(
        minute=pl.lit(minute).cast(bars.TIMESTAMP_US),
        provider=pl.lit(provider),
        observed_at=pl.lit(observed_at).cast(bars.TIMESTAMP_US),
    )
    checked = raw.with_columns(pl.coalesce("wrong", _reason()).alias("wrong"))
    good = checked.filter(pl.col("wrong").is_null()).with_columns(
        pl.when(_number(name) != 0).then(pl.col(name)).alias(name) for name in PRICES
    )
    bad = checked.filter(pl.col("wrong").is_not_null())
    bad_rows = [
        reject(part.drop("wrong"), str(reason), dataset="raw_quotes", at=pl.col("minute"))
        for (reason,), part in bad.group_by("wrong", maintain_order=True)
    ]
    kept = quote.merge_quotes(good)
    return kept, pl.concat([pl.DataFrame(schema=REJECTED), *bad_rows])


def _reason() -> pl.Expr:
    chain = (
        pl.when(~is_symbol_expr(pl.col("symbol")))
        .then(pl.lit("the symbol is not acceptable"))
        .when(pl.col("price").is_null())
        .then(pl.lit("price is missing"))
    )
    for name in PRICES:
        value, given = _number(name), pl.col(name).is_not_null()
        chain = (
            chain.when(given & ~value.is_finite().fill_null(value=False))
            .then(pl.lit(f"{name} is not a number"))
            .when(value < 0)
            .then(pl.lit(f"{name} is negative"))
            .when(value > bars.PRICE_MAX)
            .then(pl.lit(f"{name} is absurdly large"))
        )
    # Below half a millionth a price is nothing once it is stored.
    return (
        chain.when(_number("price") < 0.0000005)
        .then(pl.lit("price is not positive"))
        .when((_number("high") > 0) & (_number("high") < _number("low")))
        .then(pl.lit("high is below low"))
        .otherwise(None)
    )


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _caught(
    fetch: Callable[[Group], list[RawQuote]],
) -> Callable[[Group], list[RawQuote] | PlatformError]:
    def fetched(group: Group) -> list[RawQuote] | PlatformError:
        try:
            return fetch(group)
        except PlatformError as problem:
            return problem

    return fetched


def _record(found: _Round, part: Group, outcome: list[RawQuote] | PlatformError) -> None:
    if not isinstance(outcome, PlatformError):
        found.responded += 1
        found.quotes += outcome
        return
    found.worst = outcome
    if isinstance(outcome, NotFoundError):
        # A symbol's address may be missing; when every one is, the round raises it.
        return
    if isinstance(outcome, PermanentError):
        raise outcome
    if isinstance(outcome, InvalidDataError) and len(part) == 1:
        # The data is wrong: keep it with its reason and go on with the others.
        found.quotes.append({"symbol": part[0], "wrong": str(outcome)})
    else:
        (found.not_entitled if isinstance(outcome, NotEntitledError) else found.failed).extend(part)
    if isinstance(outcome, TransientError) and outcome.delay_s is not None:
        found.delay_s = max(found.delay_s or 0.0, outcome.delay_s)


def _in_parts(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])
