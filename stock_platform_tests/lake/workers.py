"""What the processes of the concurrency tests do. Spawned, so nothing is inherited."""

import fcntl
import os
import time
from collections.abc import Callable
from datetime import date, timedelta
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.lake.object_store import ObjectStore, VersionConflictError, open_store
from stock_platform.lake.stream_parts import compact, write_live_minute
from stock_platform.lake.write import publish_minute_bars
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import DAY, GRID, bars_of

SPAWN = get_context("spawn")
COUNTER = "counter/data.parquet"


def start(work: Callable[..., None], *arguments: Any) -> SpawnProcess:
    """Start a process that ends with its parent."""
    process = SPAWN.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def finish(*processes: SpawnProcess) -> list[int | None]:
    """Wait for processes and return their exit codes."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def count_up(settings: LakeSettings, times: int, together: Barrier) -> None:
    """Add one to a counter `times` times, reading again after each conflict.

    The moment between comparing versions and renaming is stretched to 3 ms:
    without the lock two processes are certain to meet in it.
    """
    store = open_store(settings)
    stretch(3)
    together.wait(60)
    for _ in range(times):
        add_one(store)


def count_up_unlocked(settings: LakeSettings, times: int, together: Barrier) -> None:
    """Do the same on a system whose lock does nothing."""
    fcntl.flock = lambda *_: None
    count_up(settings, times, together)


def stretch(milliseconds: int) -> None:
    """Make every replacement on disk wait between its comparison and its rename."""
    set_times = os.utime

    def slowly(*arguments: Any, **options: Any) -> None:
        time.sleep(milliseconds / 1000)
        set_times(*arguments, **options)

    os.utime = slowly


def add_one(store: ObjectStore) -> None:
    while True:
        found = store.get(COUNTER)
        value = int(found[0]) if found else 0
        try:
            store.put_if_match(COUNTER, str(value + 1).encode(), found[1] if found else None)
        except VersionConflictError:
            continue
        return


def bars(
    symbols: int, slots: range, revision: str, *, at: timedelta, day: date = DAY
) -> pl.DataFrame:
    """Return bars of a session whose close says who wrote them."""
    assert day == GRID.session
    close = {"live": 10, "rest": 11, "final": 12}[revision]
    cells = [(f"S{n:03d}", slot) for n in range(symbols) for slot in slots]
    return (
        bars_of(cells)
        .with_columns(
            close=pl.lit(close),
            revision=pl.lit(revision),
            observed_at=GRID.closes_at + at,
        )
        .cast(MINUTE_BARS)
    )


def stream(settings: LakeSettings, symbols: int, minutes: int) -> None:
    """Write a live part for each minute, as the sidecar does."""
    store = open_store(settings)
    for slot in range(minutes):
        label = f"{(570 + slot) // 60:02d}{(570 + slot) % 60:02d}"
        part = bars(symbols, range(slot, slot + 1), "live", at=timedelta(seconds=slot))
        write_live_minute(store, DAY, label, "sidecar", part)


def heal(settings: LakeSettings, symbols: int, minutes: int) -> None:
    """Publish every third minute again at revision rest, a minute at a time."""
    store = open_store(settings)
    for slot in range(0, minutes, 3):
        part = bars(symbols, range(slot, slot + 1), "rest", at=timedelta(hours=1, seconds=slot))
        publish_minute_bars(store, DAY, part)


def keep_compacting(settings: LakeSettings, done: Event) -> None:
    """Compact the session over and over until told that the writers are done."""
    store = open_store(settings)
    while not done.is_set():
        compact(store, DAY)
    compact(store, DAY)


def publish_in_turn(settings: LakeSettings, symbols: int, pause_s: float, ready: Event) -> None:
    """Publish a session for ever, each time with another volume in every bar."""
    store = open_store(settings)
    slots = range(390)
    turn = 0
    while True:
        turn += 1
        part = bars(symbols, slots, "live", at=timedelta(seconds=turn)).with_columns(
            volume=pl.lit(turn).cast(MINUTE_BARS["volume"])
        )
        publish_minute_bars(store, DAY, part)
        ready.set()
        time.sleep(pause_s)
