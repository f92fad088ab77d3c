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

from stock_platform.domain.answer import Answer
from stock_platform.domain.coverage import Ledger
from stock_platform.domain.revision import Revision
from stock_platform.healing.attempts import Backoff

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
    if not len(rows):
        return
    first, last = _slots(ledger, answer)
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
    settled = settled_slot(ledger, answer, rules.settle)
    if answer.revision.proves_empty and settled >= first:
        ledger.mark("empty", rows, first, min(last, settled))
    broken = _take_back_broken(ledger, answer)
    failures = ledger.attempts[list(broken)]
    _settle_rows(ledger, rows, answer, rules)
    for (row, reason), failed in zip(broken.items(), failures, strict=True):
        ledger.attempts[row] = failed
        _fail(ledger, np.array([row]), replace(answer, detail=reason), rules)


def _take_back_broken(ledger: Ledger, answer: Answer) -> dict[int, str]:
    """Unmark the minutes whose bar came broken; give their rows, with a reason each."""
    broken: dict[int, str] = {}
    for symbol, minute, reason in answer.broken():
        row = int(ledger.rows_of([symbol])[0])
        slot = (minute - ledger.grid.starts_at) // _MINUTE
        on_grid = row >= 0 and 0 <= slot < ledger.grid.width
        if on_grid and not ledger.bits["observed"][row, slot]:
            ledger.bits["empty"][row, slot] = False
            broken.setdefault(row, reason)
    return broken


def settled_slot(ledger: Ledger, answer: Answer, settle: timedelta) -> int:
    """Give the last slot whose minute had settled when the answer was asked for."""
    ended = (answer.asked_at - settle - ledger.grid.starts_at) // _MINUTE
    return min(ended, ledger.grid.width) - 1


def _rows(ledger: Ledger, answer: Answer) -> np.ndarray:
    if answer.symbols is None:
        return np.arange(len(ledger.symbols))
    rows = ledger.rows_of(answer.symbols)
    return rows[rows >= 0]


def _slots(ledger: Ledger, answer: Answer) -> tuple[int, int]:
    start = ledger.grid.starts_at
    first = max((answer.first - start) // _MINUTE, 0)
    last = min((answer.last - start) // _MINUTE, ledger.grid.width - 1)
    return first, last


def _fail(ledger: Ledger, rows: np.ndarray, answer: Answer, rules: Rules) -> None:
    ledger.attempts[rows] += 1
    ledger.last_error[rows] = answer.detail[:300]
    for failures in np.unique(ledger.attempts[rows]):
        again = rules.backoff.next_at(int(failures), answer.asked_at)
        waiting = rows[ledger.attempts[rows] == failures]
        ledger.next_retry_at[waiting] = _instant(again) if again else np.datetime64("NaT", "us")


def _settle_rows(ledger: Ledger, rows: np.ndarray, answer: Answer, rules: Rules) -> None:
    """Note who answered, and when to ask again for what was too young to judge."""
    rank = answer.revision.rank
    known = np.array(
        [-1 if name == "none" else Revision(name).rank for name in ledger.authority[rows]]
    )
    ledger.authority[rows[known < rank]] = answer.revision.value
    ledger.attempts[rows] = 0
    ledger.last_error[rows] = ""
    ledger.next_retry_at[rows] = np.datetime64("NaT", "us")
    left = ledger.missing(ledger.grid.due(answer.asked_at, 0))[rows]
    young = rows[left.any(axis=1)]
    if len(young):
        last = left.shape[1] - 1 - np.argmax(left[:, ::-1], axis=1)[left.any(axis=1)]
        start = np.datetime64(ledger.grid.starts_at.replace(tzinfo=None), "us")
        settles = start + (last + 1) * np.timedelta64(60, "s") + np.timedelta64(rules.settle)
        ledger.next_retry_at[young] = np.maximum(settles, _instant(answer.asked_at + _MINUTE))
    whole = answer.first <= ledger.grid.opens_at and answer.last >= ledger.grid.closes_at - _MINUTE
    if whole and answer.asked_at >= ledger.grid.closes_at + rules.settle:
        before = ledger.verified_at[rows]
        asked = _instant(answer.asked_at)
        ledger.verified_at[rows] = np.where(np.isnat(before) | (before < asked), asked, before)


def _instant(value: datetime) -> np.datetime64:
    return np.datetime64(value.replace(tzinfo=None), "us")
