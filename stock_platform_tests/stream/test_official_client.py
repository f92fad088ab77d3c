"""The vendor's own client and our reader hear the same from the simulator."""

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from massive import WebSocketClient

from stock_platform.simulator.server import running
from stock_platform.stream.feed.options import FeedOptions
from stock_platform_tests.stream.servers import wait_until
from stock_platform_tests.stream.sidecar import (
    feed_status,
    frames_of,
    reader_options,
    running_reader,
)

SCRIPT = {
    "market": {"synthetic": {"symbols": 20, "first": "2026-11-18", "last": "2026-11-18"}},
    "feed": {"start": "told"},
}


def test_the_official_client_and_the_reader_receive_the_same_events(tmp_path: Path) -> None:
    heard: list[tuple[str, int, float, float]] = []
    with running(SCRIPT) as simulator:
        client = WebSocketClient(
            api_key=simulator.keys.massive[0],
            feed=simulator.ws_url_realtime.removeprefix("ws://"),
            secure=False,
            subscriptions=["AM.*"],
            max_reconnects=0,
        )

        def take(messages: list[Any]) -> None:
            heard.extend((m.symbol, m.start_timestamp, m.close, m.vwap) for m in messages)

        thread = threading.Thread(target=client.run, args=(take,), daemon=True)
        thread.start()
        feeds = (FeedOptions("realtime", simulator.ws_url_realtime, ("AM", "FMV")),)
        options = reader_options(tmp_path / "journal", feeds=feeds)
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal).get("state") == "streaming", 60)
            wait_until(lambda: simulator.stats()["readers"] == 2)
            simulator.start()
            wait_until(simulator.finished.is_set, 60)
            wait_until(
                lambda: (
                    len(heard) >= simulator.market.live_bars(simulator.market.sessions[0]).height
                )
            )
    thread.join(20)

    ours = [
        (event["sym"], event["s"], event["c"], event["vw"])
        for frame in frames_of(options.journal)
        for event in json.loads(frame)
        if event["ev"] == "AM"
    ]
    assert ours == heard
    assert len(ours) > 1000


@pytest.mark.parametrize(
    ("feed", "channels"), [("realtime", ("AM", "FMV")), ("delayed", ("T", "Q"))]
)
def test_every_event_of_both_hosts_is_byte_for_byte_the_clients(
    feed: str, channels: tuple[str, ...], tmp_path: Path
) -> None:
    heard: list[bytes] = []
    with running(SCRIPT) as simulator:
        url = {"realtime": simulator.ws_url_realtime, "delayed": simulator.ws_url_delayed}[feed]
        client = WebSocketClient(
            api_key=simulator.keys.massive[0],
            feed=url.removeprefix("ws://"),
            secure=False,
            raw=True,
            subscriptions=[f"{channel}.*" for channel in channels],
            max_reconnects=0,
        )
        told = {"handle_msg": lambda text: heard.append(text.encode())}
        thread = threading.Thread(target=client.run, kwargs=told, daemon=True)
        thread.start()
        feeds = (FeedOptions(feed, url, channels),)
        options = reader_options(tmp_path / "journal", feeds=feeds)
        with running_reader(options):
            wait_until(lambda: feed_status(options.journal, feed).get("state") == "streaming", 60)
            wait_until(lambda: simulator.stats()["readers"] == 2)
            simulator.start()
            wait_until(simulator.finished.is_set, 60)
            sent = simulator.stats()["events_sent"] // 2
            wait_until(lambda: sum(map(len, events(heard, channels).values())) >= sent)
    thread.join(20)

    ours = events(frames_of(options.journal), channels)
    assert ours == events(heard, channels)
    assert min(map(len, ours.values())) > 1000


def events(frames: list[bytes], channels: tuple[str, ...]) -> dict[str, list[bytes]]:
    """Return the text of each event, by channel, in order; without the statuses."""
    found: dict[str, list[bytes]] = {channel: [] for channel in channels}
    for frame in frames.copy():
        for raw in msgspec.json.decode(frame, type=list[msgspec.Raw]):
            found.get(json.loads(bytes(raw))["ev"], []).append(bytes(raw))
    return found
