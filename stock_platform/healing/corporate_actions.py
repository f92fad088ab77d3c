"""Judge every split and dividend from the bars as they were traded.

Vendors date splits days too early, invert their ratio, list one twice and adjust old
dividends for later splits. Raw prices are the witness: a real split moves the open of its
session by its own ratio. Only actions that are confirmed, or that no bar can judge, may
adjust prices; every verdict is a row with its evidence.
"""

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl

VERDICTS = pl.Schema(
    {
        "action": pl.String(),
        "action_id": pl.String(),
        "symbol": pl.String(),
        "effective_on": pl.Date(),
        "verdict": pl.String(),
        "evidence": pl.String(),
        "moved_to": pl.Date(),
    }
)
"""One row per action listed: `action` is split or dividend; `verdict` is confirmed, misdated,
contradicted, duplicate or unjudged; `moved_to` is the session whose bars show a misdated split."""

ADJUSTING = ("confirmed", "unjudged")
"""The verdicts whose actions adjust prices."""

JUMP_MAX = 0.45
"""What an ordinary session moves at most; no confirmed split leaves a larger adjusted jump."""
RATIO_MIN = 1.15
"""A stock dividend below this cannot be listed from an ordinary day."""
SESSIONS_APART_MAX = 20
"""How far from the date listed the real one is looked for."""
DAYS_APART_MAX = 7
"""Bars further from the date listed than this do not judge it."""
SAME_DIVIDEND_DAYS = 5
"""Funds that pay every week are seven days apart; the same payment listed twice is closer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    action_id: str
    on: date
    log_ratio: float
    """Of prices: log(split_from / split_to)."""


@dataclass(frozen=True, slots=True)
class _Bars:
    sessions: list[date]
    moves: np.ndarray
    """Of each session: log(open / close of the session before); the first is NaN."""
    closes: np.ndarray

    def first_on_or_after(self, day: date) -> int | None:
        """Return the position of the session an action of `day` takes effect on."""
        at = int(
            np.searchsorted(np.array(self.sessions, dtype="datetime64[D]"), np.datetime64(day))
        )
        if at == 0 or at == len(self.sessions):
            return None
        near = (self.sessions[at] - day).days <= DAYS_APART_MAX
        return at if near and (day - self.sessions[at - 1]).days <= DAYS_APART_MAX else None


_Verdict = tuple[str, str, date | None]


def _unjudged(evidence: str) -> _Verdict:
    return "unjudged", evidence, None


def judge_splits(splits: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return a row of `VERDICTS` for every split.

    `splits` is of `domain.reference.SPLITS`; `days` holds daily bars as traded (symbol,
    session, open, close), of which only symbols with splits are read. Deterministic: the
    order of the rows does not matter.
    """
    bars = _bars_by_symbol(days, splits["symbol"])
    rows: list[tuple[object, ...]] = []
    for (symbol,), listed in splits.sort("symbol", "executed_on", "action_id").group_by(
        "symbol", maintain_order=True
    ):
        ones = [
            _Split(action_id=i, on=on, log_ratio=math.log(a / b))
            for i, on, a, b in listed.select(
                "action_id", "executed_on", "split_from", "split_to"
            ).iter_rows()
        ]
        found = _judged(ones, bars.get(str(symbol)))
        rows += [("split", one.action_id, symbol, one.on, *found[one.action_id]) for one in ones]
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _judged(listed: list[_Split], bars: _Bars | None) -> dict[str, _Verdict]:
    verdicts: dict[str, _Verdict] = {}
    dated = {one.on for one in listed}
    for on in sorted(dated):
        group, repeats = _without_repeats([one for one in listed if one.on == on])
        for one, first in repeats:
            evidence = f"the same split is listed as {first.action_id} too"
            verdicts[one.action_id] = ("duplicate", evidence, None)
        at = bars.first_on_or_after(on) if bars else None
        if bars is None or at is None:
            verdicts |= {one.action_id: _unjudged("no daily bars around it") for one in group}
            continue
        move = float(bars.moves[at])
        verdicts |= _of_one_day(group, move) or {
            one.action_id: _searched(one, bars, at, dated) for one in group
        }
    return verdicts


def _without_repeats(group: list[_Split]) -> tuple[list[_Split], list[tuple[_Split, _Split]]]:
    kept: list[_Split] = []
    repeats: list[tuple[_Split, _Split]] = []
    for one in group:
        same = next((k for k in kept if math.isclose(k.log_ratio, one.log_ratio)), None)
        if same:
            repeats.append((one, same))
        else:
            kept.append(one)
    return kept, repeats


def _of_one_day(group: list[_Split], move: float) -> dict[str, _Verdict] | None:
    """Judge the splits of one session by its move; None: none of them explains it."""
    total = sum(one.log_ratio for one in group)
    moved = f"the session opened at {math.exp(move):.4f} times the close before"
    if abs(total) < math.log(RATIO_MIN) and len(group) == 1:
        return {group[0].action_id: _unjudged("too small to be listed from an ordinary day")}
    if _explains(total, move):
        return {one.action_id: ("confirmed", moved, None) for one in group}
    right = [one for one in group if _explains(one.log_ratio, move)]
    if len(group) == 1 or len(right) != 1:
        return None
    return {
        one.action_id: ("confirmed", moved, None)
        if one is right[0]
        else ("duplicate", f"{moved}, which {right[0].action_id} explains alone", None)
        for one in group
    }


def _explains(log_ratio: float, move: float) -> bool:
    """Whether a move is nearer to the ratio than to none, and an ordinary one after it."""
    if abs(log_ratio) < math.log(RATIO_MIN):
        return False
    rest = move - log_ratio
    adjusted = math.exp(rest) - 1
    return abs(rest) < abs(log_ratio) / 2 and abs(adjusted) <= JUMP_MAX


def _searched(one: _Split, bars: _Bars, at: int, dated: set[date]) -> _Verdict:
    """Look for the split's move on the sessions around the date listed."""
    first, last = max(1, at - SESSIONS_APART_MAX), min(len(bars.moves), at + SESSIONS_APART_MAX + 1)
    near = [
        i
        for i in range(first, last)
        if i != at and bars.sessions[i] not in dated and _explains(one.log_ratio, bars.moves[i])
    ]
    listed = f"listed {math.exp(one.log_ratio):.4f}, bars moved {math.exp(bars.moves[at]):.4f}"
    if not near:
        return "contradicted", listed, None
    best = min(near, key=lambda i: (abs(bars.moves[i] - one.log_ratio), abs(i - at)))
    moved_to = bars.sessions[best]
    return (
        "misdated",
        f"{listed}; on {moved_to} they moved {math.exp(bars.moves[best]):.4f}",
        moved_to,
    )


def judge_dividends(
    dividends: pl.DataFrame, splits: pl.DataFrame, days: pl.DataFrame
) -> pl.DataFrame:
    """Return a row of `VERDICTS` for every dividend.

    `dividends` is of `domain.reference.DIVIDENDS`, `splits` those that adjust, `days` daily
    bars as traded. Bars seldom show a dividend, so what cannot be contradicted is unjudged
    and adjusts.
    """
    closes = _bars_by_symbol(days, dividends["symbol"])
    executed: dict[str, list[tuple[date, float]]] = {}
    for symbol, on, a, b in splits.select(
        "symbol", "executed_on", "split_from", "split_to"
    ).iter_rows():
        executed.setdefault(symbol, []).append((on, b / a))
    rows: list[tuple[object, ...]] = []
    columns = ("action_id", "ex_on", "paid_on", "amount", "currency", "kind")
    for (symbol,), listed in dividends.sort("symbol", "ex_on", "action_id").group_by(
        "symbol", maintain_order=True
    ):
        counted: list[_Dividend] = []
        for values in listed.select(columns).iter_rows(named=True):
            one = _Dividend(**values)
            contradiction = _contradiction(one, closes.get(str(symbol)))
            repeated = next((other for other in counted if one.repeats(other)), None)
            adjusted = _adjusted_for(one, counted, executed.get(str(symbol), []))
            if contradiction or adjusted:
                verdict = "contradicted", contradiction or adjusted
            elif repeated:
                verdict = "duplicate", f"listed as {repeated.action_id}, ex-date {repeated.ex_on}"
            else:
                verdict = "unjudged", ""
                counted.append(one)
            rows.append(("dividend", one.action_id, symbol, one.ex_on, *verdict, None))
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dividend:
    action_id: str
    ex_on: date
    paid_on: date | None
    amount: Decimal
    currency: str | None
    kind: str

    def repeats(self, other: "_Dividend") -> bool:
        apart = (self.ex_on - other.ex_on).days
        return self.amount == other.amount and apart < SAME_DIVIDEND_DAYS


def _contradiction(one: _Dividend, bars: _Bars | None) -> str:
    """Return what speaks against a dividend by itself; empty where nothing does."""
    currency = (one.currency or "USD").upper()
    if currency != "USD":
        return f"declared in {currency}, prices are in USD"
    if one.paid_on and one.paid_on < one.ex_on:
        return f"paid on {one.paid_on}, before its ex-date"
    at = bars.first_on_or_after(one.ex_on) if bars else None
    if bars is not None and at is not None and float(one.amount) >= bars.closes[at - 1]:
        return f"not below the close before it, {bars.closes[at - 1]:.6g}"
    return ""


def _adjusted_for(
    one: _Dividend, counted: list[_Dividend], executed: list[tuple[date, float]]
) -> str:
    """Return which later split an amount was adjusted for; empty where it was not.

    A regular payer's amount changes little from one time to the next. One that becomes the
    usual amount only when it is multiplied by later splits was adjusted for them.
    """
    usual = next((d for d in reversed(counted) if d.kind == one.kind == "regular"), None)
    later = [split for split in executed if split[0] > one.ex_on]
    ratio = math.prod(ratio for _, ratio in later)
    if usual is None or not later or abs(ratio - 1) < RATIO_MIN - 1:
        return ""
    if any(usual.ex_on < on <= one.ex_on for on, _ in executed):
        return ""
    declared, before = float(one.amount) * ratio, float(usual.amount)
    if not _alike(declared, before) or _alike(float(one.amount), before):
        return ""
    return (
        f"adjusted for the split of {later[0][0]}: {declared:.6g} as declared, "
        f"{before:.6g} the time before"
    )


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=0.25)


def _bars_by_symbol(days: pl.DataFrame, symbols: pl.Series) -> dict[str, _Bars]:
    rows = (
        days.filter(pl.col("symbol").is_in(symbols.unique().implode()))
        .select(
            "symbol",
            "session",
            pl.col("open").cast(pl.Float64),
            pl.col("close").cast(pl.Float64),
        )
        .sort("symbol", "session")
        .with_columns((pl.col("open") / pl.col("close").shift().over("symbol")).log().alias("move"))
    )
    return {
        str(symbol): _Bars(
            one["session"].to_list(),
            one["move"].fill_null(np.nan).to_numpy(),
            one["close"].to_numpy(),
        )
        for (symbol,), one in rows.group_by("symbol", maintain_order=True)
    }
