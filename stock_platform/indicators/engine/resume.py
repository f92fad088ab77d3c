"""Step recursive indicators onward from stored states, all symbols at once.

One step is a handful of array operations over the symbols, so a session of three
thousand symbols costs milliseconds where recomputing their history costs seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stock_platform.indicators.engine.arrays import BarArrays, time_column
from stock_platform.indicators.engine.layout import RowLayout
from stock_platform.indicators.indicator import Indicator


@dataclass(frozen=True, slots=True)
class ResumedStates:
    """States by symbol; NaN where a symbol has none that fits its history."""

    symbols: pl.Series
    numbers: dict[str, np.ndarray]

    @property
    def symbols_complete(self) -> pl.Series:
        """Return the symbols whose every indicator continues."""
        complete = np.ones(len(self.symbols), dtype=bool)
        for array in self.numbers.values():
            complete &= ~np.isnan(array)
        return self.symbols.filter(pl.Series(complete))

    def aligned(self, symbols: pl.Series) -> "ResumedStates":
        """Return the states in the order of `symbols`."""
        states = pl.DataFrame({"symbol": self.symbols, **self.numbers})
        rows = pl.DataFrame({"symbol": symbols}).join(
            states, on="symbol", how="left", maintain_order="left"
        )
        numbers = {name: rows[name].fill_null(np.nan).to_numpy().copy() for name in self.numbers}
        return ResumedStates(symbols, numbers)

    def part(self, symbols: range) -> "ResumedStates":
        """Return the states of a range of symbols."""
        rows = slice(symbols.start, symbols.stop)
        return ResumedStates(self.symbols[rows], {n: a[rows] for n, a in self.numbers.items()})

    def continues(self, indicator: Indicator) -> np.ndarray:
        """Return for each symbol whether the indicator is stepped, not recomputed."""
        found = np.full(len(self.symbols), indicator.recursion is not None)
        for column in indicator.state:
            found &= ~np.isnan(self.numbers[column.name])
        return found


def match(
    history: pl.DataFrame, states: pl.DataFrame, indicators: Sequence[Indicator]
) -> ResumedStates:
    """Take the states that are of the very last bar of their symbol's history.

    A state from before a bar that came later, or of an indicator that was not
    installed then, does not count: its symbol or indicator is computed afresh.
    """
    last = history.group_by("symbol").agg(pl.col(time_column(history)).max().alias("_last"))
    fitting = states.join(last, on="symbol").filter(pl.col("last") == pl.col("_last"))
    names = [column.name for i in indicators for column in i.state]
    missing = np.full(fitting.height, np.nan)
    numbers = {
        name: fitting[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if name in fitting.columns
        else missing
        for name in names
    }
    return ResumedStates(fitting["symbol"], numbers)


def resume(
    bars: BarArrays,
    carried: ResumedStates,
    indicators: Sequence[Indicator],
    *,
    places: RowLayout,
    into: tuple[dict[str, np.ndarray], dict[str, np.ndarray]],
) -> None:
    """Step every carried symbol over its new bars, writing values and states into place."""
    values, after = into
    edges, first_new = places.edges, places.first_new
    counts = edges[1:] - first_new
    # Symbols with most new bars first: those still running are always a prefix.
    order = np.argsort(-counts, kind="stable")
    order = order[first_new[order] > edges[:-1][order]]
    recursive = [(i, i.recursion) for i in indicators if i.recursion]
    states = {i.name: tuple(carried.numbers[c.name][order] for c in i.state) for i, _ in recursive}
    running, value_rows, state_rows = counts[order], places.values[order], places.states[order]
    for k in range(int(running.max(initial=0))):
        alive = int(np.searchsorted(-running, -k))
        rows = first_new[order[:alive]] + k
        kept = np.flatnonzero(places.kept[rows])
        previous, bar = bars.part(rows - 1), bars.part(rows)
        for indicator, recursion in recursive:
            held = tuple(array[:alive] for array in states[indicator.name])
            found, next_held = recursion.step(held, previous, bar)
            states[indicator.name] = next_held
            for column, array in zip(indicator.columns, found, strict=True):
                values[column.name][value_rows[:alive] + k] = array
            if len(kept):
                for column, array in zip(indicator.state, next_held, strict=True):
                    after[column.name][state_rows[kept]] = array[kept]
        state_rows[kept] += 1
