"""Run indicators over a frame of bars: symbol by symbol, or onward from a state.

TA-Lib reads one contiguous slice per symbol and releases the interpreter while it
does, so blocks of symbols run on threads. Indicators run over the bars that exist:
a minute or session without a bar is not there, it is not filled.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from stock_platform.domain.problems import Malformed, Permanent
from stock_platform.indicators.carry import Carried, carry, match
from stock_platform.indicators.indicator import Indicator
from stock_platform.indicators.series import Bars, ordered, starts, time_column, to_bars

_BLOCK_ROWS = 500_000
"""Rows computed at a time: small enough that their arrays are reused memory, not new pages."""


_Arrays = dict[str, np.ndarray]
"""One block's results by column."""


@dataclass(frozen=True, slots=True)
class Computed:
    """Values of every new bar, and the state after each symbol's last bar of each session."""

    values: pl.DataFrame
    states: pl.DataFrame


def compute(
    bars: pl.DataFrame,
    indicators: Sequence[Indicator],
    *,
    history: pl.DataFrame | None = None,
    states: pl.DataFrame | None = None,
    keep_states: bool = True,
    threads: int = 2,
) -> Computed:
    """Compute indicators of `bars`, all in one scale (see splits.adjust).

    `bars` are whole sessions; `history` the bars before them, `states` the newest
    state of each symbol before them. A symbol whose state is of the last bar of its
    history is stepped onward from it and needs only as much history as its windowed
    indicators look back; every other symbol is computed from the history given.
    Values come in the order symbol, time; too little history gives null.
    """
    frame, new, carried = _arranged(bars, history, states, indicators)
    work = _Work(frame, new, starts(frame), indicators, carried, keep_states)
    blocks = _blocks(work.edges)
    with ThreadPoolExecutor(min(threads, len(blocks))) as pool:
        done = list(pool.map(work.run, blocks))
    return Computed(
        pl.concat([part.values for part in done]), pl.concat([part.states for part in done])
    )


def in_blocks(bars: pl.DataFrame, *, symbols_max: int = 500) -> Iterator[pl.DataFrame]:
    """Cut bars sorted by symbol into frames of whole symbols, to bound memory."""
    edges = starts(bars)
    for first in range(0, len(edges) - 1, symbols_max):
        last = min(first + symbols_max, len(edges) - 1)
        yield bars.slice(int(edges[first]), int(edges[last] - edges[first]))


@dataclass(frozen=True, slots=True)
class _Work:
    """An arranged frame; each block of its symbols is computed by itself."""

    frame: pl.DataFrame
    new: np.ndarray
    edges: np.ndarray
    indicators: Sequence[Indicator]
    carried: Carried | None
    keep_states: bool

    def run(self, symbols: range) -> Computed:
        edges = self.edges[symbols.start : symbols.stop + 1]
        rows = slice(int(edges[0]), int(edges[-1]))
        frame, new = self.frame[rows], self.new[rows]
        edges = edges - edges[0]
        bars = to_bars(frame)
        # Every new row is written once, by a step or from a slice: no need to fill first.
        values = {c.name: np.empty(len(bars)) for i in self.indicators for c in i.columns}
        recursive = self.indicators if self.keep_states else ()
        states = {c.name: np.empty(len(bars)) for i in recursive for c in i.state}
        carried = self.carried.part(symbols) if self.carried is not None else None
        if carried is not None and len(bars):
            first_new = edges[:-1] + np.add.reduceat(~new, edges[:-1])
            into = (values, states)
            carry(bars, carried, self.indicators, first_new=first_new, edges=edges, into=into)
        tasks = [_Task.of(i, carried, values, states) for i in self.indicators]
        for symbol, (a, b) in enumerate(pairwise(edges.tolist())):
            part = bars.part(slice(a, b))
            for task in tasks:
                if task.stepped is None or not task.stepped[symbol]:
                    task.fill(part, slice(a, b))
        time = time_column(frame)
        keys = frame.select("symbol", "session", pl.col(time).alias("last"))
        return Computed(
            _to_frame(frame.select("symbol", time), values, new),
            _to_frame(keys, states, _session_ends(bars, edges) & new),
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """One indicator with the room for its results; `stepped` says where it is not needed."""

    indicator: Indicator
    stepped: list[bool] | None
    values: Sequence[np.ndarray]
    states: Sequence[np.ndarray]

    @classmethod
    def of(
        cls, indicator: Indicator, carried: Carried | None, values: _Arrays, states: _Arrays
    ) -> "_Task":
        stepped = carried.continues(indicator).tolist() if carried is not None else None
        return cls(
            indicator,
            stepped,
            [values[column.name] for column in indicator.columns],
            [states[column.name] for column in indicator.state] if states else (),
        )

    def fill(self, part: Bars, rows: slice) -> None:
        try:
            for room, found in zip(self.values, self.indicator.compute(part), strict=True):
                room[rows] = found
            if self.states and (recursion := self.indicator.recursion):
                for room, found in zip(self.states, recursion.read(part), strict=True):
                    room[rows] = found
        except Exception as error:
            raise Permanent(f"indicator {self.indicator.name}: {error}") from error


def _arranged(
    bars: pl.DataFrame,
    history: pl.DataFrame | None,
    states: pl.DataFrame | None,
    indicators: Sequence[Indicator],
) -> tuple[pl.DataFrame, np.ndarray, Carried | None]:
    """Give history and bars as one ordered frame, which rows are new, and who is carried."""
    fresh = ordered(bars)
    if history is None or not history.height:
        return fresh, np.ones(fresh.height, dtype=bool), None
    old = ordered(history.join(fresh.select("symbol").unique(), on="symbol", how="semi"))
    matched = match(old, states, indicators) if states is not None else None
    if matched is not None:
        old = _trimmed(old, matched.symbols_complete, indicators)
    both = pl.concat(
        [
            old.with_columns(pl.lit(value=False).alias("_new")),
            fresh.with_columns(pl.lit(value=True).alias("_new")),
        ]
    ).sort("symbol", time_column(bars))
    new = both["_new"].to_numpy()
    edges = starts(both)
    back = new[:-1] & ~new[1:]
    back[edges[1:-1] - 1] = False
    if back.any():
        raise Malformed("history must end before the bars begin")
    symbols = both["symbol"].gather(edges[:-1])
    return both.drop("_new"), new, matched.aligned(symbols) if matched else None


def _trimmed(
    old: pl.DataFrame, complete: pl.Series, indicators: Sequence[Indicator]
) -> pl.DataFrame:
    """Drop what carried symbols do not look back to."""
    needed = max((i.lookback for i in indicators if i.recursion is None), default=1)
    from_end = pl.len().over("symbol") - pl.int_range(pl.len()).over("symbol")
    carried = pl.col("symbol").is_in(complete.implode())
    return old.filter(~carried | (from_end <= max(needed, 1)))


def _session_ends(series: Bars, edges: np.ndarray) -> np.ndarray:
    ends = np.ones(len(series), dtype=bool)
    ends[:-1] = series.session[1:] != series.session[:-1]
    ends[edges[1:] - 1] = True
    return ends


def _blocks(edges: np.ndarray) -> list[range]:
    """Cut the symbols into ranges of about `_BLOCK_ROWS` rows."""
    count = max(1, round(int(edges[-1]) / _BLOCK_ROWS))
    wanted = np.linspace(0, edges[-1], count + 1)[1:-1]
    cuts = [0, *np.searchsorted(edges[:-1], wanted).tolist(), len(edges) - 1]
    return [range(a, b) for a, b in pairwise(cuts) if b > a] or [range(0)]


def _to_frame(keys: pl.DataFrame, arrays: _Arrays, rows: np.ndarray) -> pl.DataFrame:
    """Join keys and arrays of the chosen rows; what is not finite becomes null."""
    everything = bool(rows.all())
    keys = keys if everything else keys.filter(pl.Series(rows))
    columns: list[pl.Series] = []
    for name, array in arrays.items():
        numbers = array if everything else array[rows]
        finite = np.isfinite(numbers)
        column = pl.Series(name, numbers)
        columns.append(column if finite.all() else column.set(pl.Series(~finite), None))
    return keys.with_columns(columns)
