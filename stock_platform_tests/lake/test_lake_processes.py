"""Streaming, healing, compaction and readers at once, as real processes; and kill -9."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.lake import read, stream_parts, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import DAY
from stock_platform_tests.lake.workers import (
    SPAWN,
    bars,
    finish,
    heal,
    keep_compacting,
    publish_in_turn,
    start,
    stream,
)

SYMBOLS = 20
MINUTES = 60


def wanted() -> pl.DataFrame:
    """Return what every order of the writers must end in: each third minute healed."""
    streamed = [
        bars(SYMBOLS, range(slot, slot + 1), "live", at=timedelta(seconds=slot))
        for slot in range(MINUTES)
    ]
    healed = [
        bars(SYMBOLS, range(slot, slot + 1), "rest", at=timedelta(hours=1, seconds=slot))
        for slot in range(0, MINUTES, 3)
    ]
    return (
        pl.concat(streamed + healed)
        .sort("revision")
        .unique(["symbol", "minute"], keep="last", maintain_order=True)
        .sort("symbol", "minute")
    )


def observe(store: ObjectStore, seen: pl.DataFrame) -> pl.DataFrame:
    """Read the session once; nothing seen before may be gone, nothing may be there twice."""
    found = read.minute_bars(store, DAY).select("symbol", "minute", "revision")
    lost = seen.join(found, on=["symbol", "minute"], how="anti").height
    doubled = found.height - found.select("symbol", "minute").n_unique()
    fallen = seen.join(found, on=["symbol", "minute"]).filter(
        pl.col("revision_right").to_physical() < pl.col("revision").to_physical()
    )
    assert (lost, doubled, fallen.height) == (0, 0, 0)
    return found


@pytest.mark.parametrize("settings_of", ["disk_settings", "s3_settings"])
def test_no_row_is_lost_doubled_or_worsened_while_all_work_at_once(
    request: pytest.FixtureRequest, settings_of: str
) -> None:
    settings: LakeSettings = request.getfixturevalue(settings_of)
    store: ObjectStore = request.getfixturevalue(settings_of.removesuffix("_settings"))
    done = SPAWN.Event()
    writers = [start(stream, settings, SYMBOLS, MINUTES), start(heal, settings, SYMBOLS, MINUTES)]
    compactor = start(keep_compacting, settings, done)
    seen = read.minute_bars(store, DAY).select("symbol", "minute", "revision")
    reads = 0
    while any(writer.is_alive() for writer in writers):
        seen = observe(store, seen)
        reads += 1
    codes = finish(*writers)
    done.set()
    codes += finish(compactor)

    assert codes == [0, 0, 0]
    assert reads > 10
    assert stream_parts.live_parts(store, DAY) == []
    assert read.minute_bars(store, DAY).equals(wanted())


def test_a_publisher_killed_at_any_point_leaves_the_old_object_or_the_new(
    disk: ObjectStore, disk_settings: LakeSettings
) -> None:
    volumes: list[float] = []
    for delay_ms in (0, 5, 13, 34, 89):
        ready = SPAWN.Event()
        publisher = start(publish_in_turn, disk_settings, SYMBOLS, 0, ready)
        assert ready.wait(60)
        time.sleep(delay_ms / 1000)
        assert publisher.pid is not None
        os.kill(publisher.pid, signal.SIGKILL)
        publisher.join()

        held = read.minute_bars(disk, DAY)

        volumes += held["volume"].unique().to_list()
        assert held.height == SYMBOLS * 390

    assert len(volumes) == 5
    again = bars(SYMBOLS, range(390), "final", at=timedelta(days=1))
    assert write.publish_minute_bars(disk, DAY, again).changed == SYMBOLS * 390
    assert {Path(entry.path).name for entry in disk.list("")} == {"data.parquet"}
