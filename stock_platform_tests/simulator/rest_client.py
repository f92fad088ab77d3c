"""Questions to a small simulated Massive, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import Any

import httpx2

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.server import Simulator, running

DAY = date(2026, 11, 24)
HALF_DAY = date(2026, 11, 27)
SPLIT_ON = date(2026, 11, 27)
RANGE = f"/v2/aggs/ticker/AAPL/range/1/minute/{DAY}/{DAY}"
SYNTHETIC = {
    "symbols": ("AAPL", "MSFT"),
    "first": "2026-11-23",
    "last": "2026-12-01",
    "splits": [{"symbol": "MSFT", "on": str(SPLIT_ON), "split_from": 1, "split_to": 4}],
}


@contextmanager
def asking(**parts: Any) -> Iterator[tuple[httpx2.Client, Simulator]]:
    market = {"synthetic": SYNTHETIC, **parts.pop("market", {})}
    with running({"market": market, **parts}) as simulator:
        headers = {"Authorization": f"Bearer {simulator.keys.massive[0]}"}
        with httpx2.Client(base_url=simulator.rest_url, headers=headers, timeout=5) as client:
            yield client, simulator


def at_ms(day: date, clock: str) -> int:
    return int(datetime.combine(day, time.fromisoformat(clock), NEW_YORK).timestamp() * 1000)
