"""What a response proves, applied to coverage.

A minute without a bar is `empty` only when a source of record responded for it
and did so after the minute had settled (late trades re-send bars for about a
quarter of an hour). A refusal is kept and raises an alert; it is never
"empty", and neither is a minute whose bar was rejected. A failure makes the
symbol wait before it is requested again. A second source fills holes and is evidence
of nothing else.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from stock_platform.domain.coverage import SessionCoverage, to_instant
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.healing.retry import RetrySchedule

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SettlementPolicy:
    """What counts as settled, and how failures are spaced."""

    settle: timedelta
    retry: RetrySchedule


def apply_response(
    coverage: SessionCoverage, response: ProviderResponse, policy: SettlementPolicy
) -> None:
    """Apply one response to `coverage`, in place; the same one twice changes nothing more.

    Only a failure counts its repeats: two failures are two attempts.
    """
    rows = _rows(coverage, response)
    first, last = response.slots(coverage.grid)
    if not len(rows) or last < first:
        return
    if response.revision is Revision.FILL:
        # A second source fills: its silence proves nothing, its refusal and its failure
        # concern nobody, and the record is requested again as if it had not responded.
        if response.bars.height:
            coverage.set_observed(response.bars, healed=True)
        return
    if response.outcome == "failed":
        _record_failure(coverage, rows, response, policy)
        return
    if response.outcome == "refused":
        coverage.confirm_empty("refused", rows, first, last)
        _record_failure(coverage, rows, response, policy)
        return
    if response.bars.height:
        coverage.set_observed(response.bars, healed=True)
    coverage.bits["refused"][rows, first : last + 1] = False
    if response.revision.proves_empty:
        coverage.confirm_empty(
            "asked", rows, first, min(last, _last_over(coverage, response.asked_at))
        )
        settled = _last_over(coverage, response.asked_at - policy.settle)
        coverage.confirm_empty("empty", rows, first, min(last, settled))
    rejected = _retract_rejected(coverage, rows, response)
    failures = coverage.attempts[list(rejected)]
    _record_success(coverage, rows, response, policy)
    for (row, reason), failed in zip(rejected.items(), failures, strict=True):
        coverage.attempts[row] = failed
        one = replace(response, symbols=(coverage.symbols[row],), detail=reason)
        _record_failure(coverage, np.array([row]), one, policy)


def _retract_rejected(
    coverage: SessionCoverage, rows: np.ndarray, response: ProviderResponse
) -> dict[int, str]:
    """Unmark the minutes whose bar was rejected; return their rows, with a reason each."""
    rejected: dict[int, str] = {}
    for symbol, minutes, reason in response.rejected_intervals():
        row = int(coverage.rows_of([symbol])[0])
        first, last = coverage.grid.slots_within(*minutes)
        if row not in rows or last < first:
            continue
        unobserved = ~coverage.bits["observed"][row, first : last + 1]
        if unobserved.any():
            coverage.bits["empty"][row, first : last + 1] &= ~unobserved
            rejected.setdefault(row, reason)
    return rejected


def _last_over(coverage: SessionCoverage, at: datetime) -> int:
    """Return the last slot whose minute was over at an instant; -1 when none was."""
    over = (at - coverage.grid.starts_at) // _MINUTE
    return max(min(over, coverage.grid.width), 0) - 1


def _rows(coverage: SessionCoverage, response: ProviderResponse) -> np.ndarray:
    if response.symbols is None:
        return np.arange(len(coverage.symbols))
    rows = coverage.rows_of(response.symbols)
    return rows[rows >= 0]


def _record_failure(
    coverage: SessionCoverage,
    rows: np.ndarray,
    response: ProviderResponse,
    policy: SettlementPolicy,
) -> None:
    coverage.last_error[rows] = response.detail[:300]
    if response.symbols is None:
        # A file that cannot be had is no evidence about a symbol: each may still be requested.
        return
    coverage.attempts[rows] += 1
    for failures in np.unique(coverage.attempts[rows]):
        again = policy.retry.next_at(int(failures), response.asked_at)
        waiting = rows[coverage.attempts[rows] == failures]
        coverage.next_retry_at[waiting] = to_instant(again) if again else np.datetime64("NaT", "us")


def _record_success(
    coverage: SessionCoverage,
    rows: np.ndarray,
    response: ProviderResponse,
    policy: SettlementPolicy,
) -> None:
    """Record the revision that responded, and whether it covered the whole settled session."""
    weaker = ["none", *(each for each in Revision if each.rank < response.revision.rank)]
    coverage.authority[rows[np.isin(coverage.authority[rows], weaker)]] = response.revision.value
    coverage.attempts[rows] = 0
    coverage.last_error[rows] = ""
    coverage.next_retry_at[rows] = np.datetime64("NaT", "us")
    grid = coverage.grid
    whole = response.first <= grid.opens_at and response.last >= grid.closes_at - _MINUTE
    settled = response.asked_at >= grid.closes_at + policy.settle
    if whole and settled and response.revision.proves_empty:
        before = coverage.verified_at[rows]
        responded_at = to_instant(response.asked_at)
        coverage.verified_at[rows] = np.where(
            np.isnat(before) | (before < responded_at), responded_at, before
        )
