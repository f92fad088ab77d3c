"""Health is progress: what is reported of processes that stand still, die, or begin again."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from stock_platform.stream import status
from stock_platform.stream.health import STALL_S, HealthLine, Progress

PAGE = Path(__file__).parents[2] / "docs" / "streaming.md"
FEED = {"state": "streaming", "trouble": "", "frames": 10, "bytes": 1000, "reconnects": 0}
FEED |= {"refused_subscriptions": 0}


def well(folder: Path, **changes: dict[str, Any]) -> Progress:
    """Return the progress of a sidecar whose processes report no problem, but for `changes`."""
    reported = {
        "reader": {"feeds": {"realtime": FEED}, "journal_refused": 0},
        "latest": {"offset": 50, "settled": 50, "lag_bytes": 0, "events": 100},
    }
    for name, facts in reported.items():
        status.save(folder, name, {**facts, **changes.get(name, {})})
    return Progress(journal=folder, consumers=("latest",), leader=True)


def test_a_sidecar_that_works_has_no_problem(tmp_path: Path) -> None:
    assert well(tmp_path).problems() == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"latest": {"trouble": "Redis does not answer"}}, "latest: Redis does not answer"),
        ({"latest": {"at": 0}}, "latest: its status is older than 10 s"),
        ({"reader": {"at": 0}}, "reader: its status is older than 10 s"),
        ({"reader": {"journal_full": True}}, "journal: at its bound, the feed is not read"),
        (
            {"reader": {"feeds": {"realtime": {**FEED, "state": "refused", "trouble": "why"}}}},
            "feed realtime: refused, why",
        ),
    ],
)
def test_what_is_wrong_is_said(
    changes: dict[str, dict[str, Any]], problem: str, tmp_path: Path
) -> None:
    assert well(tmp_path, **changes).problems() == [problem]


def test_every_metric_of_the_page_is_rendered_under_its_name(tmp_path: Path) -> None:
    progress = well(tmp_path, latest={"delay_ms": 1.0})
    progress.restarts["reader"] = 1
    registry = CollectorRegistry()
    registry.register(progress)
    text = generate_latest(registry).decode()
    rendered = set(re.findall(r"^(stock_stream_\w+)", text, re.MULTILINE))

    documented = set(re.findall(r"`(stock_stream_\w+)`", PAGE.read_text()))

    assert documented - rendered == set()
    assert {name for name in rendered if not name.startswith("stock_stream_tailer_")} <= documented


def test_who_does_not_lead_stands_by(tmp_path: Path) -> None:
    progress = well(tmp_path)
    progress.leader = False

    assert progress.problems()[0].startswith("standby")


def later(progress: Progress, **facts: Any) -> list[str]:
    """Judge once now, and once more after every patience; the processes report meanwhile."""
    progress.problems()
    then = time.time() + STALL_S + 1
    for name, said in progress.facts().items():
        status.save(
            progress.journal, name, {**said, **(facts if name == "latest" else {}), "at": then}
        )
    return progress.problems(then)


def test_a_consumer_that_lives_and_does_not_move_is_a_problem(tmp_path: Path) -> None:
    progress = well(tmp_path, latest={"lag_bytes": 9})

    assert later(progress) == [f"latest: behind and has not moved for {STALL_S + 1:.0f} s"]


@pytest.mark.parametrize("moved", [{"offset": 51}, {"settled": 51}, {"lag_bytes": 0}])
def test_a_consumer_that_moves_or_has_nothing_to_read_is_none(
    moved: dict[str, int], tmp_path: Path
) -> None:
    assert later(well(tmp_path, latest={"lag_bytes": 9}), **moved) == []


def counted(frames: int, refused: int, reconnects: int) -> dict[str, Any]:
    feed = {**FEED, "frames": frames, "bytes": 100 * frames, "reconnects": reconnects}
    reader = {"feeds": {"realtime": feed}, "journal_refused": refused, "journal_bytes": 7}
    return {"reader": reader, "latest": {"events": 20 * frames, "lag_bytes": 3}}


def test_the_line_gives_rates_since_the_last_one_and_lags() -> None:
    line = HealthLine(("latest",), 0.0)
    line.facts(counted(100, 0, 0), 10.0)

    said = line.facts(counted(300, 0, 1), 20.0)

    assert said == {
        "events_per_s": 400.0,
        "frames_per_s": 20.0,
        "bytes_per_s": 2000,
        "bytes": 30_000,
        "reconnects": {"realtime": 1},
        "journal_bytes": 7,
        "drops": 0,
        "lag_bytes": {"latest": 3},
        "skipped_bytes": {},
    }


def test_a_reader_that_began_again_makes_no_rate_negative_and_hides_no_drop() -> None:
    line = HealthLine(("latest",), 0.0)
    line.facts(counted(300, 5, 2), 10.0)

    said = line.facts(counted(40, 1, 1), 20.0)

    assert (said["frames_per_s"], said["bytes"]) == (4.0, 34_000)
    assert (said["drops"], said["reconnects"]) == (6, {"realtime": 3})


def test_segments_given_up_at_the_bound_are_drops() -> None:
    line = HealthLine((), 0.0)

    said = line.facts({"reader": {"feeds": {}, "journal_segments_dropped": 2}}, 1.0)

    assert said["drops"] == 2
