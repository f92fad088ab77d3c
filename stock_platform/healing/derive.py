"""Rebuild a session's coverage from evidence alone: bars, connection log, responses.

Coverage is derived, not asserted: whatever it holds can be computed
again from what the lake keeps, and the coverage asset does exactly that.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.rejections import REJECTED, reject
from stock_platform.domain.responses import EVERY_SYMBOL, ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.apply_response import SettlementPolicy, apply_response

BAR_CHANNEL = "AM"
DELIVERY = timedelta(seconds=10)
"""A minute's bars come in the first seconds after it: a connection lost before took them along."""

_MINUTE = timedelta(minutes=1)
# One for all of 8,000 responses: making a frame takes longer than applying its response.
_NOTHING_REJECTED = pl.DataFrame(schema=REJECTED)


def derive(
    grid: MinuteGrid,
    symbols: Iterable[str],
    *,
    bars: pl.DataFrame,
    connections: pl.DataFrame,
    responses: pl.DataFrame,
    policy: SettlementPolicy,
) -> SessionCoverage:
    """Return the coverage that the evidence supports.

    `bars` needs symbol and minute; `connections` is a frame of `CONNECTIONS`,
    `responses` one of `PROVIDER_RESPONSES`. Which bars a heal brought is not evidence but
    history: see `carry_history`.
    """
    coverage = SessionCoverage.blank(grid, symbols)
    presume_empty(coverage, connections)
    coverage.rebuild_observed(bars)
    replay_responses(coverage, responses, policy)
    return coverage


def presume_empty(coverage: SessionCoverage, connections: pl.DataFrame) -> None:
    """Presume empty every minute during the whole of which one connection was alive.

    Only the channel of minute bars is evidence of them, and only while it stands long
    enough after the minute to have delivered its bar.
    """
    of_bars = connections.filter(pl.col("channel") == BAR_CHANNEL)
    for since, until in of_bars.select("connected_at", "alive_until").iter_rows():
        # The last minute that ended, and was delivered, before the connection was lost.
        first, last = coverage.grid.slots_within(since, until - DELIVERY - _MINUTE)
        if last >= first:
            coverage.confirm_empty("silent", slice(None), first, last)


def replay_responses(
    coverage: SessionCoverage, responses: pl.DataFrame, policy: SettlementPolicy
) -> None:
    """Apply recorded responses again, oldest first; their bars are in the lake already."""
    answered = responses.filter(pl.col("outcome") != "rejected")
    rejected = responses.filter(pl.col("outcome") == "rejected")
    order = ["asked_at", "symbol", "provider", "outcome", "first", "last"]
    for row in answered.sort(order).iter_rows(named=True):
        symbol = row["symbol"]
        apply_response(
            coverage,
            ProviderResponse(
                provider=row["provider"],
                session=coverage.session,
                symbols=None if symbol == EVERY_SYMBOL else (symbol,),
                first=row["first"],
                last=row["last"],
                asked_at=row["asked_at"],
                revision=Revision(row["revision"]),
                outcome=row["outcome"],
                detail=row["detail"] or "",
                rejected=_rejected_with(rejected, row),
            ),
            policy,
        )


def _rejected_with(rejected: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    """Return the rejected bars that came with one recorded response."""
    if not rejected.height or row["outcome"] != "ok":
        return _NOTHING_REJECTED
    same = (pl.col("provider") == row["provider"]) & (pl.col("asked_at") == row["asked_at"])
    if row["symbol"] != EVERY_SYMBOL:
        same &= pl.col("symbol") == row["symbol"]
    found = rejected.filter(same).with_columns(pl.col("asked_at").alias("observed_at"))
    # A span of more than one minute was recorded for a bar whose minute could not be read.
    at = pl.when(pl.col("first") == pl.col("last")).then("first")
    return reject(found, found["detail"], dataset="minute_bars", at=at)


def carry_history(fresh: SessionCoverage, before: SessionCoverage | None) -> SessionCoverage:
    """Keep in `fresh` what evidence does not show: which observed minutes a heal brought."""
    if before is None or before.grid.width != fresh.grid.width:
        return fresh
    rows = before.rows_of(fresh.symbols)
    known = rows >= 0
    healed = np.zeros_like(fresh.bits["healed"])
    healed[known] = before.bits["healed"][rows[known]]
    fresh.bits["healed"] = healed & fresh.bits["observed"]
    return fresh
