"""A deterministic market of thousands of symbols, shaped like the real one.

Every session is drawn from (seed, session) alone: sessions can be asked for in
any order, by any process, and come out byte for byte the same.
"""

from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.simulator.market.cache import SessionCache, slices
from stock_platform.simulator.market.feed_messages import to_messages
from stock_platform.simulator.market.market import (
    LISTINGS,
    TRUTH,
    Dividend,
    Split,
    daily_of,
    figi_of,
    regular_hours,
    with_identity,
)
from stock_platform.simulator.market.universe import Universe, make_universe
from stock_platform.simulator.scenario import SymbolLife, SyntheticScenario

FRACTIONAL_SINCE = date(2026, 2, 23)
BEGAN = date(2003, 9, 10)
"""Since when the symbols are listed that always exist."""
_EXCHANGES = ("XNAS", "XNYS", "ARCX")
# Activity outside regular hours, as a part of the regular average.
_QUIET = 0.02


class SyntheticMarket:
    """The seeded market of a script; see `Market`. Safe to use from several threads."""

    def __init__(self, scenario: SyntheticScenario, *, rows_max: int = 6_000_000) -> None:
        self._scenario = scenario
        self._calendar = Calendar(extended=scenario.extended)
        self._sessions = tuple(self._calendar.sessions(scenario.first, scenario.last))
        self._lives: dict[str, list[SymbolLife]] = {life.symbol: [] for life in scenario.lives}
        for life in scenario.lives:
            self._lives[life.symbol].append(life)
        self._universe = make_universe(scenario.seed, scenario.symbols)
        if self._lives:
            everybody = {*self._universe.symbols.tolist(), *self._lives}
            self._universe = make_universe(scenario.seed, tuple(sorted(everybody)))
        self._truth = SessionCache(self._generate, rows_max=rows_max)
        self._sent = SessionCache(self._send, rows_max=rows_max // 2)
        self._daily = SessionCache(self._day, rows_max=rows_max)
        self._slices = SessionCache(self._slice, rows_max=rows_max)

    @property
    def calendar(self) -> Calendar:
        return self._calendar

    @property
    def sessions(self) -> tuple[date, ...]:
        return self._sessions

    def minute_bars(self, session: date) -> pl.DataFrame:
        return self._truth(session)

    def live_bars(self, session: date) -> pl.DataFrame:
        return self._sent(session)

    def daily_bars(self, session: date) -> pl.DataFrame:
        return self._daily(session)

    def bars_of(self, symbol: str, session: date) -> pl.DataFrame:
        at = self._slices(session).get(symbol)
        bars = self._truth(session)
        return bars.slice(*at) if at else bars.clear()

    @cached_property
    def _splits(self) -> tuple[Split, ...]:
        scenario = self._scenario
        if scenario.splits is not None:
            return tuple(
                Split(
                    symbol=s.symbol, executed_on=s.on, split_from=s.split_from, split_to=s.split_to
                )
                for s in scenario.splits
            )
        if len(self._sessions) < 2:
            return ()
        universe = self._universe
        dear = np.where(universe.rate > np.median(universe.rate), universe.price, 0.0)
        symbol = str(universe.symbols[int(dear.argmax())])
        return (
            Split(
                symbol=symbol,
                executed_on=self._sessions[len(self._sessions) // 2],
                split_from=1.0,
                split_to=10.0,
            ),
        )

    def splits(self) -> tuple[Split, ...]:
        return self._splits

    @cached_property
    def _dividends(self) -> tuple[Dividend, ...]:
        if not self._sessions:
            return ()
        rng = np.random.default_rng([self._scenario.seed, 0xD1F])
        count = max(1, len(self._universe.symbols) // 20)
        payers = rng.choice(self._universe.symbols, count, replace=False)
        days = rng.integers(0, len(self._sessions), count)
        cents = rng.integers(5, 120, count)
        return tuple(
            Dividend(
                symbol=str(symbol),
                ex_on=ex_on,
                paid_on=ex_on + timedelta(days=18),
                amount=int(cent) / 100,
            )
            for symbol, ex_on, cent in zip(
                payers, (self._sessions[day] for day in days), cents, strict=True
            )
        )

    def dividends(self) -> tuple[Dividend, ...]:
        return self._dividends

    @cached_property
    def _listings(self) -> pl.DataFrame:
        names = self._universe.symbols.tolist()
        exchange = {name: _EXCHANGES[n % 3] for n, name in enumerate(names)}
        always = [SymbolLife(symbol=name) for name in names if name not in self._lives]
        lives = sorted(
            [*always, *self._scenario.lives], key=lambda life: (life.symbol, life.first or BEGAN)
        )
        rows = [
            {
                "symbol": life.symbol,
                "name": f"{life.security or life.symbol} Simulated Inc.",
                "type": "ETF" if life.symbol in {"SPY", "QQQ"} else "CS",
                "exchange": exchange[life.symbol],
                "listed_on": life.first or BEGAN,
                "delisted_on": life.last,
                "security": life.security or life.symbol,
                "figi": figi_of(life.security or life.symbol) if life.figi else None,
                "listed_from": life.listed_from,
                "absent_on": list(life.absent_on),
                "list_date": life.list_date,
                "changed_on": life.changed_on,
            }
            for life in lives
        ]
        return with_identity(pl.DataFrame(rows, schema=LISTINGS))

    def listings(self) -> pl.DataFrame:
        return self._listings

    def _generate(self, session: date) -> pl.DataFrame:
        if session not in self._sessions:
            return pl.DataFrame(schema=TRUTH)
        scenario = self._scenario
        fractional = scenario.volume == "fractional" or (
            scenario.volume == "by_date" and session >= FRACTIONAL_SINCE
        )
        bars = generate(
            self._universe,
            self._calendar,
            session,
            rng=np.random.default_rng([scenario.seed, session.toordinal()]),
            fractional=fractional,
            halts=scenario.halts,
            shares=self._shares(session),
        )
        absent = [name for name in self._lives if not self._trades(name, session)]
        return bars.filter(~pl.col("symbol").is_in(absent)) if absent else bars

    def _trades(self, symbol: str, session: date) -> bool:
        return any(
            (life.first or BEGAN) <= session and (life.last is None or session < life.last)
            for life in self._lives[symbol]
        )

    def _shares(self, session: date) -> np.ndarray:
        """Return new shares per share of the universe's first day, by the splits so far."""
        shares = np.ones(len(self._universe.symbols))
        for split in self._splits:
            if split.executed_on <= session:
                shares[self._universe.symbols == split.symbol] *= split.ratio
        return shares

    def _send(self, session: date) -> pl.DataFrame:
        scenario = self._scenario
        return to_messages(
            self._truth(session),
            rng=np.random.default_rng([scenario.seed, session.toordinal(), 1]),
            late=scenario.late,
            rebuilt=scenario.rebuilt,
            unsent=scenario.unsent,
        )

    def _day(self, session: date) -> pl.DataFrame:
        if session not in self._sessions:
            return daily_of(pl.DataFrame(schema=TRUTH), self._sessions[0], self._calendar)
        return daily_of(self._truth(session), session, self._calendar)

    def _slice(self, session: date) -> dict[str, tuple[int, int]]:
        return slices(self._truth(session))


def activity(grid: MinuteGrid, calendar: Calendar, session: date) -> np.ndarray:
    """Return the relative activity of the expected minutes: a U over regular hours, mean 1."""
    opens, closes = regular_hours(calendar, session)
    first, end = ((instant - grid.starts_at) // timedelta(minutes=1) for instant in (opens, closes))
    x = (np.arange(end - first) + 0.5) / (end - first)
    curve = 0.62 + 1.9 * np.exp(-x / 0.07) + 1.3 * np.exp(-(1 - x) / 0.09)
    shape = np.full(grid.width, _QUIET)
    shape[first:end] = curve / curve.mean()
    return shape[grid.first : grid.end]


def generate(
    universe: Universe,
    calendar: Calendar,
    session: date,
    *,
    rng: np.random.Generator,
    fractional: bool,
    halts: float,
    shares: np.ndarray,
) -> pl.DataFrame:
    """Draw one session's bars. Draws happen in a fixed order: never reorder them."""
    grid = calendar.grid(session)
    size = len(universe.symbols)
    mood = np.exp(rng.normal(0, 0.35, size))
    level = universe.level(session) * np.exp(rng.normal(0, 0.01, size)) / shares
    expected = np.outer(universe.rate * mood, activity(grid, calendar, session))
    trades = rng.poisson(expected)
    _halt(trades, rng, halts)
    rows, slots = np.nonzero(trades)
    count = trades[rows, slots]
    prices = _prices(universe, level, rows, count, rng=rng)
    volume = np.floor(
        count * universe.lot[rows] * shares[rows] * np.exp(0.5 * rng.standard_normal(len(rows)))
    )
    volume = np.maximum(volume, count)
    if fractional:
        # Dividing one whole number by a million gives the float nearest to the decimal.
        volume = (volume * 1e6 + rng.integers(0, 1_000_000, len(rows))) / 1e6
    start = int(grid.minute(grid.first).timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "symbol": pl.Series(universe.symbols.tolist(), dtype=pl.String).gather(rows),
            "minute": pl.Series(
                start + slots * 60_000_000, dtype=pl.Datetime("us")
            ).dt.replace_time_zone("UTC"),
            **prices,
            "volume": volume,
            "transactions": count,
        },
        schema=TRUTH,
    )


def _halt(trades: np.ndarray, rng: np.random.Generator, halts: float) -> None:
    size, width = trades.shape
    halted = np.flatnonzero(rng.random(size) < halts)
    starts = rng.integers(0, width, size)
    lengths = rng.integers(5, 61, size)
    for row in halted:
        trades[row, starts[row] : starts[row] + lengths[row]] = 0


def _prices(
    universe: Universe,
    level: np.ndarray,
    rows: np.ndarray,
    count: np.ndarray,
    *,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    size = len(rows)
    volatility = universe.volatility[rows]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    path = np.cumsum(rng.standard_normal(size) * volatility)
    before = np.concatenate(([0.0], path))[starts]
    path -= np.repeat(before, np.diff(np.append(starts, size)))
    close = _cents(level[rows] * np.exp(path))
    previous = np.roll(close, 1)
    previous[starts] = level[rows[starts]]
    open_ = _cents(previous * np.exp(0.3 * volatility * rng.standard_normal(size)))
    single = count == 1
    open_[single] = close[single]
    # Two trades can only print the open and the close.
    reach = np.where(count > 2, 0.7 * volatility, 0.0)
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    high = np.maximum(top, _cents(top * (1 + reach * np.abs(rng.standard_normal(size)))))
    low = np.minimum(bottom, _cents(bottom * (1 - reach * np.abs(rng.standard_normal(size)))))
    vwap = np.round(low + (high - low) * rng.uniform(0.3, 0.7, size), 4)
    return {"open": open_, "high": high, "low": low, "close": close, "vwap": vwap}


def _cents(price: np.ndarray) -> np.ndarray:
    return np.maximum(np.round(price, 2), 0.05)
