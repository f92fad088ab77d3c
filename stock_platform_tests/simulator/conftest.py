"""One small running market shared by the tests that only ask it questions."""

from collections.abc import Iterator

import httpx2
import pytest

from stock_platform.simulator.server import Simulator, running

SYMBOLS = ("AAPL", "BF/B", "BRK.B", "MSFT", "NA", "NULL", "QUBT")
SMALL = {
    "market": {
        "synthetic": {
            "symbols": SYMBOLS,
            "first": "2026-11-23",
            "last": "2026-12-01",
            "extended": True,
            "splits": [{"symbol": "MSFT", "on": "2026-11-27", "split_from": 1, "split_to": 4}],
        }
    }
}
"""Thanksgiving week: four full sessions and the half-day of 2026-11-27, on which MSFT splits."""


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with running(SMALL) as simulator:
        yield simulator


@pytest.fixture
def massive(simulator: Simulator) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {simulator.keys.massive[0]}"}
    with httpx2.Client(base_url=simulator.rest_url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def finnhub(simulator: Simulator) -> Iterator[httpx2.Client]:
    headers = {"X-Finnhub-Token": simulator.keys.finnhub[0]}
    with httpx2.Client(base_url=f"{simulator.finnhub_url}/", headers=headers) as client:
        yield client
