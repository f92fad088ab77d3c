"""Answers of providers, briefly."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import polars as pl

from stock_platform.domain import bars as bar
from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.retry import RetrySchedule
from stock_platform_tests.domain.examples import GRID, at, bars_of, raw_bars

BACKOFF = RetrySchedule.from_minutes((2, 10, 60))
RULES = SettlementPolicy(timedelta(minutes=20), BACKOFF)
EVENING = at("22:00")
"""An hour after the close: everything has settled."""


def response(
    symbols: Iterable[str] | None = ("A",),
    *,
    slots: tuple[int, int] | None = None,
    asked_at: datetime = EVENING,
    bars: Iterable[tuple[str, int]] = (),
    broken: Iterable[tuple[str, int]] = (),
    outcome: str = "ok",
    detail: str = "",
    revision: Revision = Revision.REST,
    provider: str = "massive",
    grid: MinuteGrid = GRID,
) -> ProviderResponse:
    """Return an answer about slots (default: all of the session)."""
    first, last = slots or (grid.first, grid.end - 1)
    return ProviderResponse(
        provider=provider,
        session=grid.session,
        symbols=None if symbols is None else tuple(symbols),
        first=grid.minute(first),
        last=grid.minute(last),
        asked_at=asked_at,
        revision=revision,
        outcome=outcome,
        detail=detail,
        bars=bars_of(bars, grid),
        rejected=_rejected(list(broken), grid),
    )


def _rejected(cells: list[tuple[str, int]], grid: MinuteGrid) -> pl.DataFrame:
    if not cells:
        return pl.DataFrame(schema=REJECTED)
    raw = raw_bars(len(cells)).with_columns(
        pl.Series("symbol", [symbol for symbol, _ in cells], pl.String),
        pl.Series("minute", [grid.minute(slot) for _, slot in cells], bar.TIMESTAMP_US),
        high=pl.lit(1.0),
    )
    raw = raw.cast({"observed_at": bar.TIMESTAMP_US})
    return bar.validate_bars(raw, bar.MINUTE_BARS, dataset="minute_bars").rejected
