"""F15-F16: two sidecars of one key, and one that is stopped in mid-work."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from stock_platform_tests.faults.feed import numbered_feed
from stock_platform_tests.faults.ledger import KeptJournal, missing_and_doubled, stale_keys
from stock_platform_tests.stream.servers import Bucket, Redis, wait_until
from stock_platform_tests.stream.sidecar import START_S, Sidecar, running_sidecar, settings_for

WORKERS = ("reader", "latest", "archive")


def test_f15_of_two_sidecars_started_at_once_one_reads_and_the_other_takes_over(
    tmp_path: Path, redis: Redis
) -> None:
    with numbered_feed(1_000) as feed, contextlib.ExitStack() as running:
        both = [settings_for(tmp_path / n, feed.host, feed.host, redis.url) for n in "ab"]
        sidecars = [running.enter_context(running_sidecar(settings)) for settings in both]
        wait_until(lambda: all("supervisor" in sidecar.facts for sidecar in sidecars), START_S)
        wait_until(lambda: any("reader" in sidecar.facts for sidecar in sidecars), START_S)
        leader, standby = sorted(sidecars, key=lambda sidecar: "reader" not in sidecar.facts)
        leader.wait_streaming()
        time.sleep(2)
        connections = feed.connections
        code, health = standby.health()
        idle = "reader" not in standby.facts
        leader.kill()
        standby.wait_streaming()

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
@pytest.mark.parametrize(
    "stopped",
    [
        pytest.param(WORKERS, id="the workers"),
        pytest.param(("supervisor", *WORKERS), id="all of it"),
    ],
)
def test_f16_a_stopped_process_goes_on_or_is_replaced_and_loses_nothing_journaled(
    stopped: tuple[str, ...], stopped_s: float, tmp_path: Path, redis: Redis, s3: Bucket
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
        with kept, running_sidecar(settings) as sidecar:
            sidecar.wait_streaming()
            _pause(sidecar, stopped, stopped_s)
            time.sleep(2)
            sidecar.wait_streaming()
            sent = feed.sent
            wait_until(lambda: feed.sent > sent + 2_000, START_S)
            code = sidecar.stop()

    trades = kept.trades()
    assert code == 0
    assert trades.max() > sent
    assert missing_and_doubled(trades, s3) == (0, 0)
    assert stale_keys(trades, redis.client) == {}


def _pause(sidecar: Sidecar, names: tuple[str, ...], for_s: float) -> None:
    pids = [sidecar.pid(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(for_s)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
