"""A simulated vendor, an empty lake and an ephemeral Dagster instance for each test."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from stock_platform.defs.resources import LakeResource
from stock_platform.domain.sessions import Calendar
from stock_platform.pipelines.context import LakeContext
from stock_platform.simulator.server import Simulator, running

SYMBOLS = ("AAPL", "BRK.B", "MSFT")


@pytest.fixture(scope="session")
def two_sessions() -> list[date]:
    """Return the last two sessions that have long settled, so that they are partitions."""
    calendar = Calendar()
    last = calendar.previous(calendar.latest_closed(datetime.now(UTC)))
    return [calendar.previous(last), last]


@pytest.fixture(scope="session")
def simulator(two_sessions: list[date]) -> Iterator[Simulator]:
    market = {
        "symbols": list(SYMBOLS),
        "first": two_sessions[0],
        "last": two_sessions[1],
        "seed": 3,
        "splits": [],
    }
    with running({"market": {"synthetic": market}}) as simulation:
        yield simulation


@pytest.fixture
def lake(
    simulator: Simulator,
    two_sessions: list[date],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LakeResource:
    variables = {
        **simulator.environment(),
        "STOCKS_LAKE": str(tmp_path),
        "STOCKS_SERVING_SQLITE": str(tmp_path / "serving.sqlite"),
        "JOURNAL_DIR": str(tmp_path / "journal"),
        "STOCKS_SYMBOLS": ",".join(SYMBOLS),
        "STOCKS_FIRST_SESSION": two_sessions[0].isoformat(),
        "STOCKS_LAST_SESSION": two_sessions[1].isoformat(),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return LakeResource(location="")


@pytest.fixture
def lake_context(lake: LakeResource) -> LakeContext:
    return lake.context()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
