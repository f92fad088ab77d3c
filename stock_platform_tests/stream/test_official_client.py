"""The vendor's own client and our reader hear the same from the simulator."""

import json
import threading
from pathlib import Path
from typing import Any

from massive import WebSocketClient

from stock_platform.simulator.serve import running
from stock_platform.stream.options import FeedOptions
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
