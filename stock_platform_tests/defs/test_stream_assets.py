"""The sidecar seen from Dagster: its log observed, its pulse checked, its health asked for."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from stock_platform.defs.resources import LakeResource, StreamingSidecar
from stock_platform.defs.stream.checks import stream_check_result, the_stream_is_alive
from stock_platform.defs.stream.sensors import stream_observation
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.domain.sessions import Calendar
from stock_platform.healing.liveness import last_heard, silent_channels
from stock_platform.lake import stream_parts
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.sidecar_status import SidecarStatus, fetch_status
from stock_platform.stream import status
from stock_platform.stream.health import HealthServer, Progress
from stock_platform_tests.stream.servers import free_port

GRID = Calendar().grid(date(2026, 11, 20))
PATIENCE = timedelta(minutes=5)


def _log(channel: str, alive_until: datetime, *, connection: str = "1") -> pl.DataFrame:
    row = {
        "writer": "test",
        "connection": connection,
        "channel": channel,
        "connected_at": alive_until - timedelta(hours=1),
        "alive_until": alive_until,
        "disconnected_at": None,
    }
    return pl.DataFrame([row], schema=CONNECTIONS)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Path]:
    """Run the health server of a sidecar that reads and has one tailer; return its journal."""
    journal = tmp_path / "journal"
    progress = Progress(journal=journal, consumers=("bars",), leader=True)
    server = HealthServer(progress, "127.0.0.1", 0)
    status.save(journal, "supervisor", {"metrics_port": server.port})
    status.save(journal, "reader", {"feeds": {}})
    status.save(journal, "bars", {"settled": 4096, "lag_bytes": 128})
    yield journal
    server.close()


def test_a_channel_counts_by_its_newest_sign_of_life() -> None:
    logs = [
        _log("AM", GRID.minute(5)),
        _log("AM", GRID.minute(9), connection="2"),
        _log("T", GRID.minute(7)),
    ]

    assert last_heard(logs) == {"AM": GRID.minute(9), "T": GRID.minute(7)}


def test_a_partial_subscription_is_a_sign_of_the_same_channel() -> None:
    assert last_heard([_log("AM.partly", GRID.minute(5))]) == {"AM": GRID.minute(5)}


@pytest.mark.parametrize(
    ("now", "silent"),
    [
        (GRID.minute(60), {}),
        (GRID.minute(66), {"AM": GRID.minute(60)}),
        (GRID.closes_at, {}),
        (GRID.opens_at, {}),
    ],
)
def test_a_channel_is_silent_only_while_the_market_is_open(
    now: datetime, silent: dict[str, datetime]
) -> None:
    assert silent_channels({"AM": GRID.minute(60)}, GRID, now, PATIENCE) == silent


def test_what_was_silent_since_yesterday_is_silent_since_the_open() -> None:
    signs = {"AM": GRID.opens_at - timedelta(hours=17)}

    assert silent_channels(signs, GRID, GRID.minute(6), PATIENCE) == {"AM": GRID.opens_at}


def test_nothing_is_silent_on_a_closed_day() -> None:
    assert silent_channels({"AM": GRID.opens_at}, None, GRID.minute(60), PATIENCE) == {}


def test_a_sidecar_on_this_machine_is_found_by_its_journal(sidecar: Path) -> None:
    look = fetch_status("", sidecar)

    assert (look.ok, look.offsets, look.lag_bytes) == (True, {"bars": 4096}, {"bars": 128})


def test_a_sidecar_elsewhere_is_asked_by_its_address(sidecar: Path, tmp_path: Path) -> None:
    port = status.load(sidecar)["supervisor"]["metrics_port"]

    look = fetch_status(f"http://127.0.0.1:{port}", tmp_path / "another")

    assert look.ok


def test_a_sidecar_that_does_not_answer_is_a_problem() -> None:
    look = fetch_status(f"http://127.0.0.1:{free_port()}", Path("nowhere"))

    assert not look.ok
    assert "does not answer" in look.problems[0]


def test_without_a_sidecar_there_is_nothing_to_ask(tmp_path: Path) -> None:
    assert fetch_status("", tmp_path) == SidecarStatus(where="")


def test_a_silent_channel_fails_the_check_whatever_the_sidecar_says() -> None:
    look = SidecarStatus(where="http://here", responded=True)
    since = GRID.minute(60)

    judged = stream_check_result(look, {"AM": since}, {"AM": since})

    assert (judged.passed, judged.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "AM is silent since 15:30:00 UTC" in (judged.description or "")


def test_what_the_sidecar_says_is_wrong_is_a_warning() -> None:
    look = SidecarStatus(where="http://here", responded=True, problems=("reader: no sign of life",))

    judged = stream_check_result(look, {"AM": GRID.minute(1)}, {})

    assert (judged.passed, judged.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_the_check_runs_by_hand(lake: LakeResource, sidecar: Path) -> None:
    judged = the_stream_is_alive(lake=lake, sidecar=StreamingSidecar(url=""))

    assert isinstance(judged, dg.AssetCheckResult)
    assert judged.metadata["journal offsets"].value == {"bars": 4096}


def test_what_the_stream_logged_is_observed_and_judged_without_a_run(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    sidecar: Path,
    two_sessions: list[date],
) -> None:
    grid = lake_context.calendar.grid(two_sessions[1])
    log = _log("AM", grid.minute(60))
    stream_parts.write_connections(lake_context.store, grid.session, "test", log)

    tick = _tick(instance, lake)

    assert isinstance(tick, dg.SensorResult)
    observed, checked = tick.asset_events
    assert isinstance(observed, dg.AssetObservation)
    assert isinstance(checked, dg.AssetCheckEvaluation)
    assert observed.metadata["connections"].value == 1
    assert checked.check_name == "the_stream_is_alive"
    assert isinstance(_tick(instance, lake, tick.cursor), dg.SkipReason)


def test_without_a_stream_the_sensor_says_so(
    instance: dg.DagsterInstance, lake: LakeResource
) -> None:
    assert "no stream" in str(_tick(instance, lake))


def _tick(instance: dg.DagsterInstance, lake: LakeResource, cursor: str | None = None) -> object:
    return stream_observation(
        dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            resources={"lake": lake, "sidecar": StreamingSidecar(url="")},
            sensor_name="stream_observed",
        )
    )
