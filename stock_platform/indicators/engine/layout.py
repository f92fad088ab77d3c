"""Where the rows of each symbol lie: in the bars, among the values, among the states."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class SymbolRows(NamedTuple):
    """One symbol: its rows of bars, values and states.

    `new` and `ends` are rows counted from the symbol's first bar: which of them are
    new, and after which a state is kept.
    """

    bars: slice
    values: slice
    states: slice
    new: slice
    ends: slice | np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLayout:
    """The rows of symbols in bars ordered by symbol and time.

    Symbol n has the bars edges[n] to edges[n + 1], of which first_new[n] and later are
    new; their values are rows values[n] to values[n + 1]. `kept` marks the bars of
    the frame after which the state is kept: after the last new one of a session.
    The states of symbol n are rows states[n] to states[n + 1].
    """

    edges: np.ndarray
    first_new: np.ndarray
    values: np.ndarray
    states: np.ndarray
    kept: np.ndarray

    @classmethod
    def of(
        cls, edges: np.ndarray, session: np.ndarray, new: np.ndarray, *, keep_states: bool
    ) -> "RowLayout":
        """Find the places of bars of which those marked `new` end each symbol."""
        kept = new & _session_ends(session, edges) if keep_states else np.zeros_like(new)
        values, states = _counted(new, edges), _counted(kept, edges)
        return cls(
            edges=edges,
            first_new=edges[1:] - np.diff(values),
            values=values,
            states=states,
            kept=kept,
        )

    def part(self, symbols: range) -> "RowLayout":
        """Return the places of a range of symbols, in the same frame and results."""
        some, edges = slice(symbols.start, symbols.stop), slice(symbols.start, symbols.stop + 1)
        return RowLayout(
            edges=self.edges[edges],
            first_new=self.first_new[some],
            values=self.values[edges],
            states=self.states[edges],
            kept=self.kept,
        )

    @property
    def all_values(self) -> slice:
        return slice(int(self.values[0]), int(self.values[-1]))

    @property
    def all_states(self) -> slice:
        return slice(int(self.states[0]), int(self.states[-1]))

    def symbol_rows(self) -> Iterator[SymbolRows]:
        """Return the symbols one by one."""
        a, v, s = (array.tolist() for array in (self.edges, self.values, self.states))
        for n, new in enumerate((self.first_new - self.edges[:-1]).tolist()):
            ends: slice | np.ndarray = slice(new, None)
            if s[n + 1] - s[n] != v[n + 1] - v[n]:
                ends = np.flatnonzero(self.kept[a[n] : a[n + 1]])
            yield SymbolRows(
                slice(a[n], a[n + 1]),
                slice(v[n], v[n + 1]),
                slice(s[n], s[n + 1]),
                slice(new, None),
                ends,
            )


def _counted(chosen: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return how many of the rows before each edge are chosen."""
    if chosen.all():
        return edges
    return np.append(0, np.cumsum(chosen))[edges] if chosen.any() else np.zeros_like(edges)


def _session_ends(session: np.ndarray, edges: np.ndarray) -> np.ndarray:
    ends = np.ones(len(session), dtype=bool)
    ends[:-1] = session[1:] != session[:-1]
    ends[edges[1:] - 1] = True
    return ends
