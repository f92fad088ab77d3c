"""Indicators session by session, each computed onward from the state of the one before.

One session at a time, always: a running sum that starts at another bar differs in its
last digits, so only the same steps give the same bytes when they are repeated. A session
that changed is followed forward through the later ones, as far as anything changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from stock_platform.indicators.engine import states as state
from stock_platform.indicators.engine.compute import Computed
from stock_platform.indicators.engine.sessions import compute_sessions
from stock_platform.indicators.indicator import Indicator
from stock_platform.pipelines.indicators.lookback import differing, newest_bars, whole_states
from stock_platform.pipelines.indicators.stores import IndicatorStore

RACES_MAX = 3
"""Times a session is computed again because the one before it changed meanwhile."""


@dataclass(slots=True, kw_only=True)
class UpdateResult:
    """What one update did."""

    sessions: list[date] = field(default_factory=list[date])
    """Requested, and with bars."""
    followed: list[date] = field(default_factory=list[date])
    """Later ones that changed because of them."""
    symbols: int = 0
    rows: int = 0
    """Of the objects written to."""
    added: int = 0
    changed: int = 0
    uri: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorUpdater:
    """The indicators of one timeframe in one lake.

    `first` is the first session the lake should hold. While sessions before the ones
    computed are still to come, later sessions are left alone: the one that completes
    the history is followed through all of them, once instead of every time.
    """

    store: IndicatorStore
    indicators: Sequence[Indicator]
    splits: pl.DataFrame
    first: date

    def extend(self, sessions: Iterable[date]) -> UpdateResult:
        """Compute `sessions`, then the later ones that follow from them; safe to repeat.

        Another run may be at work on a session next to these. Whoever has written looks
        again at what lies before (computing once more when that changed meanwhile) and
        only then at what comes after, so that one of the two continues from the other.
        """
        days, done = sorted(sessions), UpdateResult()
        before, now = None, self._before(days[0])
        traded, after = set[str](), now
        for _ in range(RACES_MAX):
            before = now
            traded, after = self._compute(days, before, done)
            self._flush(done)
            now = self._before(days[0])
            if _same(before, now):
                break
        if after is not None and (before is not None or days[0] <= self.first):
            self._follow(days[-1], after, traded, done)
            self._flush(done)
        return done

    def _before(self, session: date) -> pl.DataFrame | None:
        known = [day for day in self.store.computed() if day < session]
        return self.store.state(known[-1]) if known else None

    def _compute(
        self, days: list[date], before: pl.DataFrame | None, done: UpdateResult
    ) -> tuple[set[str], pl.DataFrame | None]:
        """Compute sessions in a row; return the symbols in them and the state after them."""
        traded: set[str] = set()
        done.sessions.clear()
        for day in days:
            bars = self.store.bars(day)
            if not bars.height:
                continue
            computed = self._step(day, bars, before)
            before = state.as_of(computed.states, day)
            self.store.keep(day, computed.values, before, whole=True)
            done.sessions.append(day)
            traded |= set(bars["symbol"])
        done.symbols = len(traded)
        return traded, before

    def _follow(
        self, last: date, before: pl.DataFrame, moving: set[str], done: UpdateResult
    ) -> None:
        """Go on through the later sessions with the symbols for which anything may change.

        A symbol is let go once it traded and nothing of it differed.
        """
        for session in [day for day in self.store.computed() if day > last]:
            if not moving:
                return
            bars = self.store.bars(session).filter(pl.col("symbol").is_in(sorted(moving)))
            values, before, changed = self._again(session, bars, before, moving)
            if changed:
                self.store.keep(session, values, before, whole=False)
                done.followed.append(session)
            moving = changed | (moving - set(bars["symbol"]))

    def _again(
        self, session: date, bars: pl.DataFrame, before: pl.DataFrame, moving: set[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
        """Compute a stored session again for the symbols that `moving` names.

        Returns the values of those that differ from what is stored, the states after the
        session, and their names.
        """
        ours = pl.col("symbol").is_in(sorted(moving))
        stored = self.store.state(session)
        held = self.store.values(session).filter(ours)
        values, after = held.clear(), before
        if bars.height:
            computed = self._step(session, bars, before)
            values, after = computed.values, state.as_of(computed.states, session)
        after = after.filter(ours)
        changed = differing(held, values, self.store.key)
        changed |= differing(stored.filter(ours), after, ["symbol"])
        states = pl.concat([stored.filter(~ours), after], how="diagonal").sort("symbol")
        return values.filter(pl.col("symbol").is_in(sorted(changed))), states, changed

    def _step(self, session: date, bars: pl.DataFrame, before: pl.DataFrame | None) -> Computed:
        windowed = [indicator.lookback for indicator in self.indicators if not indicator.recursion]
        history = newest_bars(
            self.store.before(session),
            bars["symbol"],
            whole_states(before, self.indicators),
            near=max([*windowed, 1]),
            far=max((indicator.lookback for indicator in self.indicators), default=1),
        )
        computed = compute_sessions(
            pl.concat([*history, bars]),
            self.indicators,
            first=session,
            last=session,
            splits=self.splits,
            states=before,
        )
        # A minute's session is its date, and in the lake the name of its folder.
        extra = {"session"} - set(self.store.key)
        return replace(computed, values=computed.values.drop(extra))

    def _flush(self, done: UpdateResult) -> None:
        for published in self.store.flush():
            done.rows += published.rows
            done.added += published.added
            done.changed += published.changed
            done.uri, done.sha256 = published.uri, published.sha256


def _same(one: pl.DataFrame | None, other: pl.DataFrame | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.equals(other)
