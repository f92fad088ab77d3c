"""A CSV of recorded minutes behind a simulated vendor, streamed with losses into a lake."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from stock_platform.domain.bars import PRICE
from stock_platform.simulator.market.replayed import ReplayedMarket
from stock_platform.simulator.scenario import ReplayScenario
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.real_input.stage import VALUES, Platform, Vendor

OUTAGE_AT, OUTAGE_MINUTES = "10:30", 17
DROPPED = 0.05
SEED = 11


@dataclass(frozen=True)
class Recording:
    """One CSV, its vendor, and the lake to which the feed brought `streamed`."""

    file: Path
    simulator: Simulator
    lake: Path
    streamed: tuple[date, ...]

    @property
    def symbol(self) -> str:
        return self.rows()["symbol"][0]

    @property
    def sessions(self) -> tuple[date, ...]:
        return self.simulator.market.sessions

    def rows(self) -> pl.DataFrame:
        """Return the CSV digit for digit, in the types of the lake."""
        text = pl.read_csv(self.file, infer_schema=False)
        at = pl.from_epoch(pl.col("ts_utc_ms").cast(pl.Int64), "ms").dt.replace_time_zone("UTC")
        minute = at.dt.cast_time_unit("us").alias("minute")
        return text.select("symbol", minute, pl.col(VALUES).cast(PRICE)).sort("symbol", "minute")

    def rows_of(self, session: date) -> pl.DataFrame:
        local = pl.col("minute").dt.convert_time_zone("America/New_York")
        return self.rows().filter(local.dt.date() == session)


@contextmanager
def recorded(file: Path, lake: Path, streamed: Sequence[date] | None) -> Iterator[Recording]:
    """Serve `file` and stream some of its sessions (None: all) as a bad day of the feed.

    Every session has an outage, minutes dropped at random, bars told wrongly at
    first and bars that only the record of the day knows.
    """
    market = ReplayedMarket(ReplayScenario(minute=(str(file),)))
    days = market.sessions if streamed is None else tuple(streamed)
    outage = {"at": OUTAGE_AT, "minutes": OUTAGE_MINUTES, "kind": "close_1001"}
    script = {
        "market": {
            "replay": {
                "minute": [str(file)],
                "seed": SEED,
                "late": 0.05,
                "rebuilt": 0.05,
                "unsent": 0.02,
            }
        },
        "feed": {
            "sessions": list(days),
            "outages": [{"session": day, **outage} for day in days],
            "drops": [{"fraction": DROPPED}],
        },
    }
    with running(script) as simulator:
        made = Recording(file, simulator, lake, days)
        Platform(lake, Vendor(simulator), (made.symbol,)).stream()
        yield made
