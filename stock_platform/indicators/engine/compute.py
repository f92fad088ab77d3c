"""Run indicators over a frame of bars: symbol by symbol, or onward from a state.

TA-Lib reads one contiguous slice per symbol and keeps the interpreter to itself while
it does, so threads would only get in each other's way: there are none but Polars' own.
What can be saved is moving memory. Results are written once, into the columns they are
read from, a block of symbols at a time that fits a core's cache. Indicators run over the
bars that exist: a minute or session without a bar is not there, it is not filled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators.engine.arrays import BarArrays, ordered, starts, time_column, to_bars
from stock_platform.indicators.engine.buffers import ResultBuffers
from stock_platform.indicators.engine.layout import RowLayout, SymbolRows
from stock_platform.indicators.engine.resume import ResumedStates, match, resume
from stock_platform.indicators.indicator import Indicator

_BLOCK_ROWS = 16_384
"""Rows computed at a time: few enough that bars and results stay in a core's cache."""
_STEPPED_ROWS = 500_000
"""Rows stepped at a time: a step is dear by the call and cheap by the symbol."""


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
) -> Computed:
    """Compute indicators of `bars`, all in one scale (see splits.adjust).

    `bars` are whole sessions; `history` the bars before them, `states` the newest
    state of each symbol before them. A symbol whose state is of the last bar of its
    history is stepped onward from it and needs only as much history as its windowed
    indicators look back; every other symbol is computed from the history given.
    Values come in the order symbol, time; too little history gives null. Without
    `keep_states` the frame of states has no rows.
    """
    frame, edges, new, carried = _arranged(bars, history, states, indicators)
    series = to_bars(frame)
    places = RowLayout.of(edges, series.session, new, keep_states=keep_states)
    work = _Work(
        bars=series,
        places=places,
        indicators=indicators,
        values=ResultBuffers.allocate(
            (c for i in indicators for c in i.columns), int(places.values[-1])
        ),
        states=ResultBuffers.allocate(
            (c for i in indicators for c in i.state if keep_states), int(places.states[-1])
        ),
    )
    if carried is not None:
        for block in _blocks(edges, _STEPPED_ROWS):
            work.step(block, carried.part(block))
    for block in _blocks(edges, _BLOCK_ROWS):
        work.fill(block, carried.part(block) if carried is not None else None)
    time = time_column(frame)
    ends = frame.select("symbol", "session", pl.col(time).alias("last"))
    return Computed(
        _rows(frame.select("symbol", time), new).with_columns(work.values.series()),
        _rows(ends, places.kept).with_columns(work.states.series()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Bars of many symbols with the room for their results; each range of symbols by itself."""

    bars: BarArrays
    places: RowLayout
    indicators: Sequence[Indicator]
    values: ResultBuffers
    states: ResultBuffers

    def step(self, symbols: range, carried: ResumedStates) -> None:
        """Step the symbols that have a state over their new bars."""
        into = (self.values.numbers, self.states.numbers)
        resume(self.bars, carried, self.indicators, places=self.places.part(symbols), into=into)

    def fill(self, symbols: range, carried: ResumedStates | None) -> None:
        """Compute what was not stepped, and settle the results of all."""
        places = self.places.part(symbols)
        lots = [(lot, self.bars.part(lot.bars)) for lot in places.symbol_rows()]
        for indicator in self.indicators:
            todo = lots
            if carried is not None:
                stepped = carried.continues(indicator).tolist()
                todo = [lot for lot, done in zip(lots, stepped, strict=True) if not done]
            try:
                self._fill(indicator, todo)
            except Exception as error:
                raise PermanentError(f"indicator {indicator.name}: {error}") from error
            self.values.mark_finite(indicator.columns, places.all_values)
            if self.states.numbers:
                self.states.mark_finite(indicator.state, places.all_states)

    def _fill(self, indicator: Indicator, lots: Sequence[tuple[SymbolRows, BarArrays]]) -> None:
        room = self.values.of(indicator.columns)
        kept = self.states.of(indicator.state) if self.states.numbers else ()
        for lot, part in lots:
            count = lot.bars.stop - lot.bars.start
            for array, into in zip(indicator.compute(part), room, strict=True):
                into[lot.values] = _checked(array, count)[lot.new]
            if kept and indicator.recursion:
                for array, into in zip(indicator.recursion.read(part), kept, strict=True):
                    into[lot.states] = _checked(array, count)[lot.ends]


def _checked(found: np.ndarray, bars: int) -> np.ndarray:
    if len(found) != bars:
        raise ValueError(f"{len(found)} results for {bars} bars")
    return found


def _arranged(
    bars: pl.DataFrame,
    history: pl.DataFrame | None,
    states: pl.DataFrame | None,
    indicators: Sequence[Indicator],
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray, ResumedStates | None]:
    """Return history and bars as one ordered frame, its symbols' first rows, what is new in it,
    and the states that are carried on.
    """
    fresh, edges = ordered(bars)
    if history is None or not history.height:
        return fresh, edges, np.ones(fresh.height, dtype=bool), None
    old, _ = ordered(history.join(fresh.select("symbol").unique(), on="symbol", how="semi"))
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
        raise InvalidDataError("history must end before the bars begin")
    symbols = both["symbol"].gather(edges[:-1])
    return both.drop("_new"), edges, new, matched.aligned(symbols) if matched else None


def _trimmed(
    old: pl.DataFrame, complete: pl.Series, indicators: Sequence[Indicator]
) -> pl.DataFrame:
    """Drop what carried symbols do not look back to."""
    needed = max((i.lookback for i in indicators if i.recursion is None), default=1)
    from_end = pl.len().over("symbol") - pl.int_range(pl.len()).over("symbol")
    carried = pl.col("symbol").is_in(complete.implode())
    return old.filter(~carried | (from_end <= max(needed, 1)))


def _blocks(edges: np.ndarray, rows: int) -> list[range]:
    """Cut the symbols into ranges of about `rows` rows."""
    count = max(1, round(int(edges[-1]) / rows))
    wanted = np.linspace(0, edges[-1], count + 1)[1:-1]
    cuts = [0, *np.searchsorted(edges[:-1], wanted).tolist(), len(edges) - 1]
    return [range(a, b) for a, b in pairwise(cuts) if b > a]


def _rows(frame: pl.DataFrame, chosen: np.ndarray) -> pl.DataFrame:
    return frame if chosen.all() else frame.filter(pl.Series(chosen))
