"""Bench of a whole market session of minute indicators, as the asset computes it.

Three sessions of 8,000 symbols and 390 minutes (3.1M rows each) lie in a lake on disk.
The first has nothing before it; the second goes on from the states kept with it; then
500 symbols of the second are healed, and the third follows from that. Reading,
computing with states, writing and publishing are all included, Dagster is not.

`python -m stock_platform_tests.bench.indicators_session`
"""

import tempfile
from datetime import date

import polars as pl

from stock_platform.domain.reference import SPLITS
from stock_platform.indicators import registry
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.indicators.stores import MinuteIndicatorStore
from stock_platform.pipelines.indicators.updater import IndicatorUpdater, UpdateResult
from stock_platform_tests.bench.bars import OBSERVED, session_bars
from stock_platform_tests.bench.measured import measured
from stock_platform_tests.bench.report import Report

SESSIONS = [date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19)]
HEALED = 500


def fill(folder: str) -> None:
    """Publish the bars of every session."""
    store = FileStore.open(folder)
    for n, session in enumerate(SESSIONS):
        write.publish_minute_bars(store, session, session_bars(session=session, seed=n))


def extend(folder: str, session: date) -> UpdateResult:
    """Compute a session and what follows from it, as `indicators/minute` does."""
    chain = IndicatorUpdater(
        store=MinuteIndicatorStore(store=FileStore.open(folder)),
        indicators=registry.choose(registry.builtin(), "minute"),
        splits=SPLITS.to_frame(),
        first=SESSIONS[0],
    )
    return chain.extend([session])


def heal(folder: str) -> None:
    """Correct the last minutes of some symbols in the second session."""
    bars = session_bars(session=SESSIONS[1], seed=1)
    some = bars["symbol"].unique().sort().head(HEALED)
    last = bars.filter(pl.col("symbol").is_in(some.implode())).group_by("symbol").tail(5)
    later = last.with_columns(
        pl.col("volume") + 1, pl.lit(OBSERVED).dt.offset_by("1d").alias("observed_at")
    )
    write.publish_minute_bars(FileStore.open(folder), SESSIONS[1], later.cast(bars.schema))


def main() -> None:
    report = Report("Indicators of a session of 8,000 symbols, in the lake")
    with tempfile.TemporaryDirectory() as folder:
        measured(fill, folder)
        first = measured(extend, folder, SESSIONS[0])
        assert first.result.rows == 3_120_000
        report.add("minute session without states", first.seconds, "s")
        report.add("its peak memory", first.peak_gb, "GB", "< 5")
        follow = measured(extend, folder, SESSIONS[1])
        assert follow.result.rows == 3_120_000
        report.add("minute session from states", follow.seconds, "s", "< 60")
        report.add("from states, processor time", follow.processor_s, "s")
        report.add("from states, peak memory", follow.peak_gb, "GB", "< 5")
        again = measured(extend, folder, SESSIONS[1])
        assert not again.result.added + again.result.changed
        report.add("the same again, nothing written", again.seconds, "s")
        measured(extend, folder, SESSIONS[2])
        measured(heal, folder)
        healed = measured(extend, folder, SESSIONS[1])
        assert healed.result.followed == [SESSIONS[2]]
        report.add(f"{HEALED} symbols healed, two sessions computed", healed.seconds, "s")
        report.add("healed, peak memory", healed.peak_gb, "GB", "< 5")
    report.finish()


if __name__ == "__main__":
    main()
