"""F02-F08: what the vendor's side of the socket can do to us."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stock_platform.simulator.server import Simulator, running
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.options import FeedOptions
from stock_platform_tests.faults.feed import numbered_feed
from stock_platform_tests.stream.servers import wait_until
from stock_platform_tests.stream.sidecar import (
    feed_status,
    frames_of,
    journal_events,
    reader_options,
    running_reader,
)

SYNTHETIC = {"symbols": 5, "first": "2026-11-18", "last": "2026-11-18"}
SLOW_TIME_S = 30.0
STARTED_S = 60.0


def script(**parts: dict[str, Any]) -> dict[str, Any]:
    feed = {"start": "told", **parts.pop("feed", {})}
    return {"market": {"synthetic": SYNTHETIC}, "feed": feed, **parts}


def realtime(simulator: Simulator) -> tuple[FeedOptions, ...]:
    return (FeedOptions("realtime", simulator.ws_url_realtime, ("AM", "FMV")),)


def events_in(folder: Path) -> list[dict[str, Any]]:
    found = []
    for frame in frames_of(folder):
        try:
            found += [event for event in json.loads(frame) if event["ev"] in {"AM", "FMV"}]
        except UnicodeDecodeError:
            continue
    return found


def test_f02_a_wrong_key_is_an_alarm_and_never_a_hot_loop(tmp_path: Path) -> None:
    with running(script()) as simulator:
        options = reader_options(
            tmp_path / "journal", feeds=realtime(simulator), api_key="wrong", backoff=(1, 1.0, 1500)
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "refused", STARTED_S)
            before = feed_status(options.journal)["reconnects"]
            started = time.monotonic()
            wait_until(lambda: feed_status(options.journal)["reconnects"] >= before + 3, 30)
            span = time.monotonic() - started
            error = feed_status(options.journal)["trouble"]

    assert span > 2
    assert error == "the API key is not accepted"


def test_f03_too_many_connections_wait_at_the_longest(tmp_path: Path) -> None:
    """The vendor accepts key and subscriptions first, and only then says max_connections."""
    with running(script(plan={"connections_max": 0})) as simulator:
        options = reader_options(
            tmp_path / "journal", feeds=realtime(simulator), backoff=(1, 1.0, 60_000)
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "refused", STARTED_S)
            time.sleep(2)
            status = feed_status(options.journal)

    assert "another client uses this key" in status["trouble"]
    assert status["reconnects"] == 0


def test_f04_a_refused_channel_leaves_the_others_streaming(tmp_path: Path) -> None:
    with running(script(plan={"refused_channels": ["FMV"]})) as simulator:
        options = reader_options(tmp_path / "journal", feeds=realtime(simulator))
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            simulator.start()
            wait_until(simulator.finished.is_set, SLOW_TIME_S)
            wait_until(lambda: feed_status(options.journal)["channels_refused"], STARTED_S)
            refused = feed_status(options.journal)["refused_subscriptions"]

    subscribed = [
        e["channel"] for e in journal_events(options.journal) if e["event"] == "subscribed"
    ]
    assert refused == 1
    assert subscribed == ["AM"]
    assert {event["ev"] for event in events_in(options.journal)} == {"AM"}


def test_f04_a_plan_without_any_of_the_channels_is_an_alarm_and_never_a_hot_loop(
    tmp_path: Path,
) -> None:
    with running(script(plan={"refused_channels": ["AM", "FMV"]})) as simulator:
        options = reader_options(
            tmp_path / "journal", feeds=realtime(simulator), backoff=(1, 1.0, 60_000)
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "refused", STARTED_S)
            time.sleep(2)
            status = feed_status(options.journal)

    assert status["trouble"] == "every subscription was refused: not authorized"
    assert status["reconnects"] == 0


def test_f04_a_channel_nobody_answers_for_leaves_the_others_streaming(tmp_path: Path) -> None:
    """The vendor passes over a channel it does not know without a word."""
    with running(script()) as simulator:
        feeds = (FeedOptions("realtime", simulator.ws_url_realtime, ("AM", "XYZ")),)
        options = reader_options(tmp_path / "journal", feeds=feeds, handshake_s=2.0)
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            simulator.start()
            wait_until(simulator.finished.is_set, SLOW_TIME_S)
            status = feed_status(options.journal)

    assert status["channels_refused"] == ["XYZ"]
    assert status["reconnects"] == 0
    assert {event["ev"] for event in events_in(options.journal)} == {"AM"}


@pytest.mark.parametrize("kind", ["close_1000", "close_1001", "closed_1011", "reset"])
def test_f05_every_end_is_followed_by_a_reconnect_and_a_gap(kind: str, tmp_path: Path) -> None:
    """The official client ends silently on 1000 and 1001, and backfills nothing."""
    with running(script(feed={"close_after_frames": 3, "close_kind": kind})) as simulator:
        options = reader_options(tmp_path / "journal", feeds=realtime(simulator))
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            simulator.start()
            wait_until(lambda: feed_status(options.journal)["reconnects"] >= 1, SLOW_TIME_S)
            wait_until(lambda: gaps.read(options.journal), SLOW_TIME_S)

    [gap, *_] = gaps.read(options.journal)
    assert gap.channels == ["AM", "FMV"]
    assert 0 < gap.last_received < gap.first_received


def test_f05_who_is_thrown_out_again_and_again_waits_ever_longer(tmp_path: Path) -> None:
    """Key and subscriptions are accepted each time: that alone is no good connection."""
    feed = {"close_after_frames": 2, "close_kind": "close_1001", "close_count": 4, "speed": 300}
    with running(script(feed=feed)) as simulator:
        options = reader_options(
            tmp_path / "journal", feeds=realtime(simulator), backoff=(200, 3.0, 60_000)
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            started = time.monotonic()
            simulator.start()
            wait_until(lambda: feed_status(options.journal)["reconnects"] >= 4, SLOW_TIME_S)
            span = time.monotonic() - started

    # 0.2, 0.6, 1.8 and 5.4 s, each shortened by a quarter at most.
    assert span > 6


def test_f06_a_silent_socket_is_given_up_and_its_gap_recorded(tmp_path: Path) -> None:
    with numbered_feed(1000) as feed:
        options = reader_options(
            tmp_path / "journal",
            feeds=(FeedOptions("delayed", feed.host, ("T", "Q")),),
            silence_s=2.0,
        )
        with running_reader(options):
            wait_until(lambda: feed.sent > 0, STARTED_S)
            feed.be_silent()
            wait_until(lambda: feed.connections >= 2, SLOW_TIME_S)
            feed.speak()
            wait_until(lambda: gaps.read(options.journal), SLOW_TIME_S)

    [gap, *_] = gaps.read(options.journal)
    assert gap.reason == "nothing received, not even an answer to a ping"
    assert gap.first_received - gap.last_received > 1000
    assert gap.last_event <= gap.first_event


def test_f07_a_channel_that_falls_silent_while_the_market_is_open_is_given_up(
    tmp_path: Path,
) -> None:
    now = int(time.time())
    with running(script()) as simulator:
        options = reader_options(
            tmp_path / "journal",
            feeds=realtime(simulator),
            channel_silence_s=2.0,
            hours=((now - 3600, now + 3600),),
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("reconnects", 0) >= 1, STARTED_S)
            status = feed_status(options.journal)

    closed = [event for event in journal_events(options.journal) if event["event"] == "closed"]
    assert status["reconnects"] >= 1
    assert closed[0]["reason"] == "no data on AM, FMV"


@pytest.mark.parametrize("engine", ["picows", "websockets"])
def test_f08_fragments_odd_bytes_and_unknown_events_are_kept_as_they_came(
    engine: str, tmp_path: Path
) -> None:
    feed = {
        "fragments": 3,
        "invalid_utf8_every": 2,
        "unknown_events": True,
        "status_with_data": True,
        "extra_keys": True,
    }
    with running(script(feed=feed)) as simulator:
        options = reader_options(tmp_path / "journal", feeds=realtime(simulator), engine=engine)
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            simulator.start()
            wait_until(simulator.finished.is_set, SLOW_TIME_S)
            time.sleep(1)
        bars = simulator.market.live_bars(simulator.market.sessions[0])

    found = [event for event in events_in(options.journal) if event["ev"] == "AM"]
    assert len(found) == bars.height
    assert not gaps.read(options.journal)


def test_f08_an_oversized_message_ends_the_connection_and_is_told(tmp_path: Path) -> None:
    feed = {"oversized_every": 2, "oversized_bytes": 400_000}
    with running(script(feed=feed)) as simulator:
        options = reader_options(
            tmp_path / "journal", feeds=realtime(simulator), frame_bytes_max=200_000
        )
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", STARTED_S)
            simulator.start()
            wait_until(lambda: feed_status(options.journal)["reconnects"] >= 1, SLOW_TIME_S)

    assert max(map(len, frames_of(options.journal))) <= 200_000
