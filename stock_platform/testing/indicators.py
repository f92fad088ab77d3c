"""The contract of an indicator, as tests that run against yours.

    from stock_platform.testing.indicators import IndicatorContract

    class TestRangePosition(IndicatorContract):
        indicator = range_position

pytest collects the class and reports each broken promise by name. The built-in
indicators run through the same suite.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.sessions import Calendar
from stock_platform.indicators.engine import states as state
from stock_platform.indicators.engine.arrays import NUMBERS, PRICES, ordered, to_bars
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.indicator import Column, Indicator, Timeframe

TOLERANCE = 1e-9
"""Relative to the largest value of a column."""


class IndicatorContract:
    """What the platform relies on; set `indicator` in a subclass named Test..."""

    indicator: Indicator

    def test_appending_a_session_changes_nothing_before_it(self) -> None:
        """Stored values stay true when the next session comes."""
        for _, bars in self._samples():
            before, after = _before_last(bars), self._values(bars)
            kept = after.join(before.select(after.columns[:2]), on=after.columns[:2], how="semi")
            assert kept.equals(self._values(before)), "a later bar changed an earlier value"

    def test_values_begin_after_the_warmup(self) -> None:
        """The slowest column is null for the first `warmup` bars of a symbol, and no longer."""
        for _, bars in self._samples():
            values = self._values(bars)
            placed = values.with_columns(pl.int_range(pl.len()).over("symbol").alias("_position"))
            slowest = max(
                position
                for column in self.indicator.columns
                for position in placed.filter(pl.col(column.name).is_not_null())
                .group_by("symbol")
                .agg(pl.col("_position").min())["_position"]
                .to_list()
            )
            assert slowest == self.indicator.warmup, (
                f"the first values come after {slowest} bars, declared are {self.indicator.warmup}"
            )

    def test_a_symbol_is_computed_from_its_own_bars(self) -> None:
        """Other symbols in the frame change nothing."""
        for _, bars in self._samples():
            parts = [self._values(part) for part in bars.partition_by("symbol")]
            assert pl.concat(parts).equals(self._values(bars)), "another symbol changed a value"

    def test_the_arrays_it_reads_are_left_as_they_are(self) -> None:
        """Other indicators read the same arrays."""
        for _, bars in self._samples():
            series = to_bars(ordered(bars.filter(pl.col("symbol") == "S0000"))[0])
            copies = {name: getattr(series, name).copy() for name in NUMBERS}
            self.indicator.compute(series)
            changed = [n for n in NUMBERS if not np.array_equal(getattr(series, n), copies[n])]
            assert changed == [], f"the function wrote into {', '.join(changed)}"

    def test_a_split_rescales_values_by_their_unit(self) -> None:
        """Prices move with the shares, volumes against them, and the others stay."""
        for _, bars in self._samples():
            halved = bars.with_columns(pl.col(PRICES) / 2, pl.col("volume") * 2)
            factors = {"price": 0.5, "volume": 2.0}
            expected = self._values(bars).with_columns(
                pl.col(column.name) * factors.get(column.unit, 1.0)
                for column in self.indicator.columns
            )
            self._assert_close(self._values(halved), expected, "a column's unit is wrong")

    def test_the_lookback_is_enough(self) -> None:
        """The last session follows from `lookback` bars before it, or from the states kept."""
        for _, bars in self._samples():
            old = _before_last(bars)
            new = bars.join(old.select(_key(bars)), on=_key(bars), how="anti")
            states = None
            if self.indicator.recursion:
                states = state.as_of(compute(old, [self.indicator]).states, date.max)
            bars_back = 1 if self.indicator.recursion else max(self.indicator.lookback, 1)
            history = old.group_by("symbol", maintain_order=True).tail(bars_back)
            found = compute(new, [self.indicator], history=history, states=states).values
            whole = self._values(bars).join(found.select(_key(bars)), on=_key(bars), how="semi")
            self._assert_close(found, whole, "going on differs from computing the whole")

    def test_states_are_kept_for_every_symbol(self) -> None:
        """A recursive indicator is complete after its warm-up, so that it can go on."""
        for _, bars in self._samples():
            kept = state.as_of(compute(bars, [self.indicator]).states, date.max)
            numbers = [column.name for column in self.indicator.state]
            assert kept.height == bars["symbol"].n_unique()
            incomplete = [name for name in numbers if kept[name].null_count()]
            assert incomplete == [], f"states without a number: {', '.join(incomplete)}"

    def _samples(self) -> Iterator[tuple[Timeframe, pl.DataFrame]]:
        bars = 3 * self.indicator.warmup + 60
        if "daily" in self.indicator.timeframes:
            yield "daily", random_daily_bars(3, bars, seed=1)
        if "minute" in self.indicator.timeframes:
            yield "minute", random_minute_bars(2, 2 + bars // 300, seed=1)

    def _values(self, bars: pl.DataFrame) -> pl.DataFrame:
        return compute(bars, [self.indicator], keep_states=False).values

    def _assert_close(self, found: pl.DataFrame, expected: pl.DataFrame, what: str) -> None:
        assert found.select(_key(found)).equals(expected.select(_key(expected))), what
        for column in self.indicator.columns:
            difference = _difference(found, expected, column)
            assert difference <= TOLERANCE, f"{what}: {column.name} by {difference:.1e}"


def random_daily_bars(symbols: int, sessions: int, *, seed: int) -> pl.DataFrame:
    """Return daily bars of a random walk on sessions of the exchange; every bar traded."""
    days = Calendar().sessions(date(2018, 1, 2), date(2026, 1, 1))[:sessions]
    generator = np.random.default_rng(seed)
    return pl.concat([_walk(f"S{n:04d}", days, generator) for n in range(symbols)])


def random_minute_bars(symbols: int, sessions: int, *, seed: int) -> pl.DataFrame:
    """Return minute bars of a random walk in regular hours; a tenth of the minutes is missing."""
    generator = np.random.default_rng(seed)
    days = Calendar().sessions(date(2026, 3, 2), date(2026, 6, 1))[:sessions]
    opening = [datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC) for day in days]
    minutes = [start + timedelta(minutes=n) for start in opening for n in range(390)]
    parts: list[pl.DataFrame] = []
    for n in range(symbols):
        walk = _walk(f"S{n:04d}", [date(2026, 1, 1)] * len(minutes), generator)
        traded = pl.Series(generator.random(len(minutes)) > 0.1)
        stamped = walk.with_columns(pl.Series("minute", minutes)).drop("session")
        parts.append(stamped.filter(traded))
    return pl.concat(parts)


def _walk(symbol: str, days: list[date], generator: np.random.Generator) -> pl.DataFrame:
    count = len(days)
    close = 10 ** generator.uniform(0, 3) * np.exp(np.cumsum(generator.normal(0, 0.02, count)))
    # Cents, as exchanges quote them: unchanged prices happen.
    close = np.maximum(np.round(close, 2), 0.01)
    opened = np.maximum(np.round(close * np.exp(generator.normal(0, 0.01, count)), 2), 0.01)
    high = np.maximum(opened, close) + np.round(generator.exponential(0.01 * close), 2)
    low = np.maximum(np.minimum(opened, close) * (1 - generator.uniform(0, 0.02, count)), 0.005)
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "session": days,
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": np.floor(generator.lognormal(10, 1.5, count)),
        }
    )


def _key(frame: pl.DataFrame) -> list[str]:
    return ["symbol", "minute" if "minute" in frame.columns else "session"]


def _before_last(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the bars without those of the last session."""
    day = pl.col("minute").dt.date() if "minute" in bars.columns else pl.col("session")
    return bars.filter(day < day.max())


def _difference(found: pl.DataFrame, expected: pl.DataFrame, column: Column) -> float:
    """Return the largest difference, relative to the column; infinite where only one is null."""
    one, other = found[column.name], expected[column.name]
    if (one.is_null() != other.is_null()).any():
        return float("inf")
    largest = other.abs().max()
    scale = max(float(largest) if isinstance(largest, int | float) else 0.0, 1.0)
    worst = (one - other).abs().max()
    return float(worst) / scale if isinstance(worst, int | float) else 0.0
