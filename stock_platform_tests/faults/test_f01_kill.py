"""F01: kill -9 of any process at any moment loses nothing that reached the journal."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from stock_platform_tests.faults.feed import NumberedFeed, numbered_feed
from stock_platform_tests.faults.ledger import (
    KeptJournal,
    lost_before_journal,
    missing_and_doubled,
    stale_keys,
)
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import START_S, Sidecar, running_sidecar, settings_for

TARGETS = ("reader", "latest", "archive", "supervisor")
KILLS_MAX_S = 900.0
"""On two free cores 200 kills take 7 minutes; a run that needs twice that has found something."""
SAY_EVERY = 20


@pytest.mark.parametrize(
    ("kills", "rate"),
    [
        pytest.param(5, 5_000, id="5 kills"),
        pytest.param(
            200, 50_000, id="200 kills", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]
        ),
    ],
)
def test_nothing_that_reached_the_journal_is_lost_or_doubled(
    kills: int,
    rate: int,
    tmp_path: Path,
    redis: Redis,
    s3: Bucket,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(kills)

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)

    started, sent_at = time.monotonic(), []
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
        with kept, running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            for number in range(1, kills + 1):
                time.sleep(chance.uniform(0.1, 1.5))
                target = TARGETS[number % len(TARGETS)]
                sent = _kill(sidecar, target, feed)
                if target == "reader":
                    sent_at.append(sent)
                spent = time.monotonic() - started
                if number % SAY_EVERY == 0:
                    say(f"{number} of {kills} kills, {feed.sent:,} trades sent, {spent:.0f} s")
                assert spent < KILLS_MAX_S, f"only {number} of {kills} kills"
            sidecar.wait_streaming()
            code = sidecar.stop()

    trades = kept.trades()
    lost = lost_before_journal(trades, sent_at)
    wrong = missing_and_doubled(trades, s3)
    say(
        f"{kills} kills, {trades.size:,} trades journaled; {wrong[0]} missing and {wrong[1]} "
        f"doubled in S3; before the journal a killed reader lost "
        f"{np.median(lost) / rate * 1e3:.0f} ms (median), {lost.max() / rate * 1e3:.0f} ms (most)"
    )
    assert code == 0
    assert trades.size > 0
    assert wrong == (0, 0)
    assert stale_keys(trades, redis.client) == {}


def _kill(sidecar: Sidecar, target: str, feed: NumberedFeed) -> int:
    """Kill one process and see it replaced; return how many trades had been sent by then."""
    # After a kill of the supervisor a status file may still speak of a process that ended.
    wait_until(lambda: psutil.pid_exists(sidecar.pid(target)) and _fresh(sidecar, target), START_S)
    pid = sidecar.pid(target)
    sent = feed.sent
    os.kill(pid, signal.SIGKILL)
    if target == "supervisor":
        sidecar.process.join()
        sidecar.start_again()
    wait_until(lambda: sidecar.pid(target) != pid and _fresh(sidecar, target), START_S)
    return sent


def _fresh(sidecar: Sidecar, target: str) -> bool:
    return target == "supervisor" or time.time() - sidecar.facts[target]["at"] < 1
