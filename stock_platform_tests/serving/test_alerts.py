"""An alert is told once per window to each channel, by however many processes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.serving.alerts.dispatch import (
    FOLDER,
    GIVE_UP_AFTER,
    KEEP,
    LEASE,
    Alert,
    AlertKind,
    DeliveryResult,
    resend_failed,
    send_alert,
)

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
WINDOW = timedelta(hours=4)
ALERT = Alert(
    AlertKind.FAILED_RUN, "heal", "Run of heal failed", "HTTP 403", "http://dagster/runs/1"
)


@dataclass
class Paper:
    """Writes down what it was told; fails as often as it has problems left."""

    name: str = "paper"
    problems: list[Exception] = field(default_factory=list)
    told: list[Alert] = field(default_factory=list)

    def send(self, alert: Alert) -> None:
        if self.problems:
            raise self.problems.pop(0)
        self.told.append(alert)


@dataclass
class SharedPaper:
    """Appends a line to a file that all processes share."""

    path: Path
    name: str = "paper"

    def send(self, alert: Alert) -> None:
        with self.path.open("a") as file:
            file.write(f"{alert.key}\n")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FileStore.open(tmp_path / "lake")


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def tell(
    store: ObjectStore, *targets: Paper, alert: Alert = ALERT, now: datetime = NOW
) -> DeliveryResult:
    return send_alert(alert, targets, store, clock=at(now), window=WINDOW)


def resend(store: ObjectStore, *targets: Paper, now: datetime) -> DeliveryResult:
    return resend_failed(targets, store, clock=at(now), window=WINDOW)


def tell_from_another_process(lake: str, paper: str) -> DeliveryResult:
    return send_alert(
        ALERT,
        [SharedPaper(Path(paper))],
        FileStore.open(lake),
        clock=lambda: datetime.now(UTC),
        window=WINDOW,
    )


def test_the_same_trouble_is_told_once_in_a_window(store: ObjectStore) -> None:
    paper = Paper()

    first = tell(store, paper)
    within = tell(store, paper, now=NOW + WINDOW - timedelta(seconds=1))
    after = tell(store, paper, now=NOW + WINDOW)

    assert (first.sent, within.known, after.sent) == (("paper",),) * 3
    assert paper.told == [ALERT, ALERT]


@pytest.mark.parametrize(
    "other",
    [
        Alert(AlertKind.FAILED_RUN, "daily", "other run", ""),
        Alert(AlertKind.STALE_DATA, "heal", "other kind", ""),
        Alert(AlertKind.STALE_DATA, "../../../etc/passwd\n\0", "no path", ""),
    ],
)
def test_other_trouble_is_told_beside_it(store: ObjectStore, other: Alert) -> None:
    paper = Paper()

    tell(store, paper)
    tell(store, paper, alert=other)

    assert paper.told == [ALERT, other]
    assert all(entry.path.startswith(f"{FOLDER}/") for entry in store.list(""))


def test_a_failing_target_does_not_stop_the_others(store: ObjectStore) -> None:
    broken, sane = Paper("broken", [PermanentError("HTTP 404")]), Paper("sane")

    assert tell(store, broken, sane) == DeliveryResult(sent=("sane",), failed=("broken",))


def test_a_bug_in_a_target_does_not_stop_the_others(store: ObjectStore) -> None:
    broken, sane = Paper("broken", [ValueError("hunter2")]), Paper("sane")

    assert tell(store, broken, sane) == DeliveryResult(sent=("sane",), failed=("broken",))
    assert all(b"hunter2" not in _bytes(store, entry.path) for entry in store.list(FOLDER))


def test_passing_trouble_is_tried_again_at_once(store: ObjectStore) -> None:
    paper = Paper(problems=[TransientError("HTTP 503"), TransientError("HTTP 503")])

    assert tell(store, paper).sent == ("paper",)


def test_a_target_that_failed_is_told_by_the_next_call_and_only_it(store: ObjectStore) -> None:
    broken, sane = Paper("broken", [PermanentError("HTTP 404")]), Paper("sane")
    tell(store, broken, sane)

    again = tell(store, broken, sane, now=NOW + timedelta(minutes=1))

    assert again == DeliveryResult(sent=("broken",), known=("sane",))
    assert (len(broken.told), len(sane.told)) == (1, 1)


def test_what_failed_is_sent_later_without_being_raised_again(store: ObjectStore) -> None:
    paper = Paper(problems=[PermanentError("HTTP 404")])
    tell(store, paper)

    resent = resend(store, paper, now=NOW + timedelta(minutes=1))
    nothing_left = resend(store, paper, now=NOW + timedelta(minutes=2))

    assert resent.sent == ("paper failed_run heal",)
    assert nothing_left == DeliveryResult()
    assert paper.told == [ALERT]


def test_old_news_is_not_sent_and_forgotten_in_the_end(store: ObjectStore) -> None:
    paper = Paper(problems=[PermanentError("HTTP 404")])
    tell(store, paper)

    late = resend(store, paper, now=NOW + GIVE_UP_AFTER)
    resend(store, paper, now=NOW + KEEP + timedelta(seconds=1))

    assert late == DeliveryResult()
    assert store.list(FOLDER) == []


def test_an_alert_whose_sender_died_is_told_by_another_after_the_lease(store: ObjectStore) -> None:
    class Died(BaseException):
        pass

    def die(_alert: Alert) -> None:
        raise Died

    dying, paper = Paper(), Paper()
    dying.send = die
    with pytest.raises(Died):
        tell(store, dying)

    during = tell(store, paper, now=NOW + LEASE - timedelta(seconds=1))
    after = resend(store, paper, now=NOW + LEASE)

    assert during.known == ("paper",)
    assert after.sent == ("paper failed_run heal",)


def test_a_record_that_cannot_be_read_does_not_silence_the_alert(store: ObjectStore) -> None:
    paper = Paper()
    tell(store, paper)
    [entry] = store.list(FOLDER)
    store.put_if_match(entry.path, b"rubbish", entry.version)

    assert tell(store, paper).sent == ("paper",)


def test_threads_that_notice_together_tell_once(store: ObjectStore) -> None:
    paper = Paper()

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: tell(store, paper), range(24)))

    assert len(paper.told) == 1
    assert sum(len(each.sent) for each in told) == 1


def test_processes_that_notice_together_tell_once(tmp_path: Path) -> None:
    lake, paper = str(tmp_path / "lake"), tmp_path / "paper"

    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        list(processes.map(tell_from_another_process, [lake] * 9, [str(paper)] * 9))

    assert paper.read_text() == "heal\n"


def _bytes(store: ObjectStore, path: str) -> bytes:
    found = store.get(path)
    assert found is not None
    return found[0]
