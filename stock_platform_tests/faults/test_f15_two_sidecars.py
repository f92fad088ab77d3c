"""F15-F16: two sidecars of one key, and one that is stopped in mid-work."""

import os
import signal
import time
from pathlib import Path

import pytest

from stock_platform_tests.faults.feed import numbered_feed
from stock_platform_tests.faults.ledger import KeptJournal, missing_and_doubled, stale_keys
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import running_sidecar, settings_for, start


def test_f15_of_two_sidecars_one_reads_and_the_other_takes_over(
    tmp_path: Path, redis: Redis
) -> None:
    with numbered_feed(1_000) as feed:
        first = settings_for(tmp_path / "one", feed.host, feed.host, redis.url)
        second = settings_for(tmp_path / "two", feed.host, feed.host, redis.url)
        leader = start(first)
        leader.wait_streaming()
        with running_sidecar(second) as standby:
            wait_until(lambda: "supervisor" in standby.facts, 100)
            time.sleep(2)
            connections = feed.connections
            code, health = standby.health()
            idle = "reader" not in standby.facts
            os.kill(leader.pid("supervisor"), signal.SIGKILL)
            leader.process.join()
            standby.wait_streaming()
        leader.process.close()

    assert connections == 2
    assert idle
    assert code == 503
    assert health["problems"][0].startswith("standby")


@pytest.mark.parametrize(
    "stopped_s",
    [
        pytest.param(5, id="5 s"),
        pytest.param(60, id="60 s", marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
    ],
)
def test_f16_a_stopped_process_goes_on_or_is_replaced_and_loses_nothing_journaled(
    stopped_s: float, tmp_path: Path, redis: Redis, s3: Bucket
) -> None:
    with numbered_feed(2_000) as feed:
        settings = settings_for(
            tmp_path / "journal",
            feed.host,
            feed.host,
            redis.url,
            s3_enabled=True,
            s3_bucket=s3.name,
            s3_endpoint_url=s3.url,
            trade_ttl_sec=86_400,
        )
        kept = KeptJournal(settings.journal_dir, tmp_path / "kept")
        sidecar = start(settings)
        sidecar.wait_streaming()
        pids = [sidecar.pid(name) for name in ("reader", "latest", "archive")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(stopped_s)
        for pid in pids:
            _go_on(pid)
        time.sleep(2)
        sidecar.wait_streaming()
        code = sidecar.stop()
        kept.close()

    trades = kept.trades()
    assert code == 0
    assert missing_and_doubled(trades, s3) == (0, 0)
    assert stale_keys(trades, redis.client) == {}


def _go_on(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return
