"""What the scripted feed never brings, as instants and as bars.

The same rules drive the socket and tell a test which bars it has to find again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zlib import crc32

import numpy as np
import polars as pl

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.market.market import Market, at_new_york
from stock_platform.simulator.scenario import Drop, Feed, ScriptedOutage, minute_of_day

_MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time without a feed, [starts_at, ends_at), and how it begins."""

    starts_at: datetime
    ends_at: datetime
    kind: str


def windows(feed: Feed, session: date) -> list[Window]:
    """Return the outages of a session in order of time."""
    outages = (outage for outage in feed.outages if outage.session == session)
    return sorted((_window(outage) for outage in outages), key=lambda window: window.starts_at)


def without_drops(
    bars: pl.DataFrame, drops: Sequence[Drop], session: date, seed: int
) -> pl.DataFrame:
    """Leave out the symbol-minutes of `drops`, first messages and repeats alike."""
    lost = pl.lit(value=False)
    chance = pl.Series(_chance(bars, seed)) if any(drop.fraction for drop in drops) else None
    for drop in drops:
        if drop.session not in {None, session}:
            continue
        here = pl.lit(value=True)
        if drop.fraction and chance is not None:
            here = here & (pl.lit(chance) < drop.fraction)
        if drop.symbols:
            here = here & pl.col("symbol").is_in(drop.symbols)
        if drop.minutes:
            local = pl.col("minute").dt.convert_time_zone(str(NEW_YORK))
            of_day = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
            here = here & of_day.is_in([minute_of_day(clock) for clock in drop.minutes])
        lost = lost | here
    return bars.filter(~lost) if drops else bars


def lost(market: Market, feed: Feed, session: date, *, seed: int = 1) -> pl.DataFrame:
    """Return (symbol, minute) of the true bars that no message of the feed brings.

    Counts lost sessions, outages, drops and bars never sent; not `frames_dropped`.
    """
    truth = market.minute_bars(session)
    key = ["symbol", "minute"]
    if session in feed.lost_sessions:
        return truth.select(key)
    messages = without_drops(market.live_bars(session), feed.drops, session, seed)
    for window in windows(feed, session):
        down = (pl.col("sent_at") >= window.starts_at) & (pl.col("sent_at") < window.ends_at)
        messages = messages.filter(~down)
    return truth.select(key).join(messages.select(key), on=key, how="anti").sort(key)


def _window(outage: ScriptedOutage) -> Window:
    hour, minute = divmod(minute_of_day(outage.at), 60)
    starts_at = at_new_york(outage.session, time(hour, minute))
    return Window(starts_at, starts_at + timedelta(minutes=outage.minutes), outage.kind)


def _chance(bars: pl.DataFrame, seed: int) -> np.ndarray:
    """Return a number in [0, 1) that depends on seed, symbol and minute alone (splitmix64)."""
    names = bars["symbol"].unique()
    codes = pl.Series([crc32(name.encode()) for name in names], dtype=pl.UInt64)
    code = bars["symbol"].replace_strict(names, codes, return_dtype=pl.UInt64).to_numpy()
    minute = bars["minute"].dt.epoch("s").to_numpy().astype(np.uint64)
    with np.errstate(over="ignore"):
        x = (code << np.uint64(32)) ^ minute ^ (np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) & _MASK).astype(np.float64) / 2**64
