"""What an answer proves, written into the ledger.

A minute without a bar is `empty` only when a source of record answered for it
and did so after the minute had settled (late trades re-send bars for about a
quarter of an hour). A refusal is remembered and raises an alarm; it is never
"empty", and neither is a minute whose bar came broken. A failure makes the
symbol wait before it is asked again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from stock_platform.domain.coverage import Ledger, to_instant
from stock_platform.domain.responses import Answer
from stock_platform.domain.revision import Revision
from stock_platform.healing.retry import Backoff

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as settled, and how failures are spaced."""

    settle: timedelta
    backoff: Backoff


def judge(ledger: Ledger, answer: Answer, rules: Rules) -> None:
    """Write one answer into `ledger`, in place; the same answer twice changes nothing more.

    Only a failure counts its repeats: two failures are two attempts.
    """
    rows = _rows(ledger, answer)
    first, last = _slots(ledger, answer.first, answer.last)
    if not len(rows) or last < first:
        return
    if answer.outcome == "failed":
        _fail(ledger, rows, answer, rules)
        return
    if answer.outcome == "refused":
        ledger.mark("refused", rows, first, last)
        _fail(ledger, rows, answer, rules)
        return
    if answer.bars.height:
        ledger.set_observed(answer.bars, healed=True)
    ledger.bits["refused"][rows, first : last + 1] = False
    if answer.revision.proves_empty:
        ledger.mark("asked", rows, first, min(last, _last_over(ledger, answer.asked_at)))
        settled = _last_over(ledger, answer.asked_at - rules.settle)
        ledger.mark("empty", rows, first, min(last, settled))
    broken = _take_back_broken(ledger, rows, answer)
    failures = ledger.attempts[list(broken)]
    _note_authority(ledger, rows, answer, rules)
    for (row, reason), failed in zip(broken.items(), failures, strict=True):
        ledger.attempts[row] = failed
        one = replace(answer, symbols=(ledger.symbols[row],), detail=reason)
        _fail(ledger, np.array([row]), one, rules)


def _take_back_broken(ledger: Ledger, rows: np.ndarray, answer: Answer) -> dict[int, str]:
    """Unmark the minutes whose bar came broken; give their rows, with a reason each."""
    broken: dict[int, str] = {}
    for symbol, minutes, reason in answer.broken():
        row = int(ledger.rows_of([symbol])[0])
        first, last = _slots(ledger, *minutes)
        if row not in rows or last < first:
            continue
        unobserved = ~ledger.bits["observed"][row, first : last + 1]
        if unobserved.any():
            ledger.bits["empty"][row, first : last + 1] &= ~unobserved
            broken.setdefault(row, reason)
    return broken


def _last_over(ledger: Ledger, at: datetime) -> int:
    """Give the last slot whose minute was over at an instant; -1 when none was."""
    over = (at - ledger.grid.starts_at) // _MINUTE
    return max(min(over, ledger.grid.width), 0) - 1


def _rows(ledger: Ledger, answer: Answer) -> np.ndarray:
    if answer.symbols is None:
        return np.arange(len(ledger.symbols))
    rows = ledger.rows_of(answer.symbols)
    return rows[rows >= 0]


def _slots(ledger: Ledger, since: datetime, until: datetime) -> tuple[int, int]:
    """Give the slots whose minutes begin within; last < first when there are none."""
    start, width = ledger.grid.starts_at, ledger.grid.width
    first = -((start - since) // _MINUTE)
    last = (until - start) // _MINUTE
    return max(first, 0), max(min(last, width - 1), -1)


def _fail(ledger: Ledger, rows: np.ndarray, answer: Answer, rules: Rules) -> None:
    ledger.last_error[rows] = answer.detail[:300]
    if answer.symbols is None:
        # A file that can not be had says nothing about a symbol: each may still be asked for.
        return
    ledger.attempts[rows] += 1
    for failures in np.unique(ledger.attempts[rows]):
        again = rules.backoff.next_at(int(failures), answer.asked_at)
        waiting = rows[ledger.attempts[rows] == failures]
        ledger.next_retry_at[waiting] = to_instant(again) if again else np.datetime64("NaT", "us")


def _note_authority(ledger: Ledger, rows: np.ndarray, answer: Answer, rules: Rules) -> None:
    """Note who answered, that it did, and whether it spoke of the whole settled session."""
    weaker = ["none", *list(Revision)[: answer.revision.rank]]
    ledger.authority[rows[np.isin(ledger.authority[rows], weaker)]] = answer.revision.value
    ledger.attempts[rows] = 0
    ledger.last_error[rows] = ""
    ledger.next_retry_at[rows] = np.datetime64("NaT", "us")
    grid = ledger.grid
    whole = answer.first <= grid.opens_at and answer.last >= grid.closes_at - _MINUTE
    settled = answer.asked_at >= grid.closes_at + rules.settle
    if whole and settled and answer.revision.proves_empty:
        before = ledger.verified_at[rows]
        asked = to_instant(answer.asked_at)
        ledger.verified_at[rows] = np.where(np.isnat(before) | (before < asked), asked, before)
