"""Two real processes on one object: every replacement counts, or the lock is missing."""

from collections.abc import Callable

from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.settings import LakeSettings
from stock_platform_tests.lake.workers import (
    COUNTER,
    SPAWN,
    count_up,
    count_up_unlocked,
    finish,
    start,
)

TIMES = 60


def counted(settings: LakeSettings) -> int:
    found = open_store(settings).get(COUNTER)
    assert found is not None
    return int(found[0])


def run_two(work: Callable[..., None], settings: LakeSettings) -> list[int | None]:
    together = SPAWN.Barrier(2)
    return finish(*(start(work, settings, TIMES, together) for _ in range(2)))


def test_two_processes_lose_no_update_on_disk(
    disk: ObjectStore, disk_settings: LakeSettings
) -> None:
    codes = run_two(count_up, disk_settings)

    assert (codes, counted(disk_settings)) == ([0, 0], 2 * TIMES)


def test_without_the_lock_updates_are_lost(disk: ObjectStore, disk_settings: LakeSettings) -> None:
    codes = run_two(count_up_unlocked, disk_settings)

    assert codes == [0, 0]
    assert counted(disk_settings) < 2 * TIMES


def test_two_processes_lose_no_update_on_s3(s3: ObjectStore, s3_settings: LakeSettings) -> None:
    codes = run_two(count_up, s3_settings)

    assert (codes, counted(s3_settings)) == ([0, 0], 2 * TIMES)
