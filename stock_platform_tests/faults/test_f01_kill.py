"""F01: kill -9 of any process at any moment loses nothing that reached the journal."""

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from stock_platform_tests.faults.feed import numbered_feed
from stock_platform_tests.faults.ledger import KeptJournal, missing_and_doubled, stale_keys
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import Sidecar, settings_for, start

TARGETS = ("reader", "latest", "archive", "supervisor")


@pytest.mark.parametrize(
    ("kills", "rate"),
    [
        pytest.param(5, 5_000, id="5 kills"),
        pytest.param(
            200, 50_000, id="200 kills", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]
        ),
    ],
)
def test_nothing_that_reached_the_journal_is_lost_or_doubled(
    kills: int, rate: int, tmp_path: Path, redis: Redis, s3: Bucket
) -> None:
    chance = random.Random(kills)
    with numbered_feed(rate) as feed:
        settings = settings_for(
            tmp_path / "journal",
            feed.host,
            feed.host,
            redis.url,
            s3_enabled=True,
            s3_bucket=s3.name,
            s3_endpoint_url=s3.url,
            journal_segment_bytes=4_000_000,
            trade_ttl_sec=86_400,
        )
        kept = KeptJournal(settings.journal_dir, tmp_path / "kept")
        sidecar = start(settings)
        sidecar.wait_streaming()
        for number in range(kills):
            time.sleep(chance.uniform(0.1, 1.5))
            sidecar = _kill(sidecar, TARGETS[number % len(TARGETS)])
        sidecar.wait_streaming()
        code = sidecar.stop()
        kept.close()

    trades = kept.trades()
    assert code == 0
    assert len(trades) > 0
    assert missing_and_doubled(trades, s3) == (0, 0)
    assert stale_keys(trades, redis.client) == {}


def _kill(sidecar: Sidecar, target: str) -> Sidecar:
    # After a kill of the supervisor a status file may still speak of a process that ended.
    wait_until(lambda: psutil.pid_exists(sidecar.pid(target)) and _fresh(sidecar, target), 100)
    pid = sidecar.pid(target)
    os.kill(pid, signal.SIGKILL)
    if target == "supervisor":
        sidecar.process.join()
        sidecar = start(sidecar.settings)
    wait_until(lambda: sidecar.pid(target) != pid and _fresh(sidecar, target), 100)
    return sidecar


def _fresh(sidecar: Sidecar, target: str) -> bool:
    return target == "supervisor" or time.time() - sidecar.facts[target]["at"] < 1
