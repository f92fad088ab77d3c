"""Sinks of other packages: found by entry point, planned, and run in a process of their own."""

import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError
from stock_platform.stream.feed.options import ReaderOptions
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.processes import plan_processes
from stock_platform.stream.sinks.installed import (
    SinkContext,
    check_names,
    installed_sinks,
    open_sink,
)
from stock_platform.stream.supervisor import stream_command
from stock_platform_tests.stream.servers import wait_until
from stock_platform_tests.stream.sidecar import START_S, all_settings, settings_for
from stock_platform_tests.stream.test_sink_contract import TEMPLATE

FRAME = b'[{"ev":"T","sym":"A","t":1763650800000,"q":1,"p":1.5,"s":10}]'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the template as its sink, as pip would have installed it."""
    folder = tmp_path / "site"
    information = folder / "my_sinks-1.0.dist-info"
    information.mkdir(parents=True)
    shutil.copy(TEMPLATE, folder / "my_sinks_trades.py")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-sinks\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[stock_platform.sinks]\ntrades = my_sinks_trades:open_sink\n"
        "other = my_sinks_trades:open_sink\nlatest = my_sinks_trades:open_sink\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_an_installed_sink_is_found_by_its_entry_point(package: Path) -> None:
    assert installed_sinks()["trades"].value == "my_sinks_trades:open_sink"
    check_names(("trades",))


def test_a_sink_that_is_not_installed_is_named_with_those_that_are(package: Path) -> None:
    with pytest.raises(PermanentError, match=r"no sink 'nope' is installed; installed: .*trades"):
        check_names(("trades", "nope"))


def test_a_name_of_two_packages_is_refused_with_both(package: Path) -> None:
    second = package / "second-1.0.dist-info"
    second.mkdir()
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (second / "entry_points.txt").write_text("[stock_platform.sinks]\ntrades = second:open_sink\n")

    with pytest.raises(PermanentError, match=r"twice: my_sinks_trades:open_sink, second:open_sink"):
        check_names(("trades",))


def test_a_built_in_name_is_reserved(package: Path) -> None:
    with pytest.raises(PermanentError, match="'latest' is reserved"):
        check_names(("latest",))


def test_a_sink_of_another_name_than_its_entry_point_is_refused(
    package: Path, tmp_path: Path
) -> None:
    with pytest.raises(PermanentError, match="is named 'trades', not 'other'"):
        open_sink(SinkContext(name="other", journal=tmp_path, feeds=()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_client", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("def open_sink(context): raise ValueError('no\\nway')", "ValueError: no way"),
        ("def open_sink(context): return 5", "keeps no protocol of a sink"),
    ],
)
def test_a_sink_that_cannot_be_opened_is_one_line(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    (package / "my_sinks_sick.py").write_text(text)
    names = package / "my_sinks-1.0.dist-info" / "entry_points.txt"
    names.write_text("[stock_platform.sinks]\nsick = my_sinks_sick:open_sink\n")
    monkeypatch.delitem(sys.modules, "my_sinks_sick", raising=False)

    with pytest.raises(PermanentError, match=reason) as raised:
        open_sink(SinkContext(name="sick", journal=tmp_path, feeds=()))

    assert "\n" not in str(raised.value)


def test_an_unknown_name_ends_the_command_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {
        "POLYGON_API_KEY": "k",
        "POLYGON_WS_SYMBOLS": "*",
        "POLYGON_WS_HOST_REALTIME": "ws://127.0.0.1:1",
        "POLYGON_WS_HOST_DELAYED": "ws://127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "STREAM_SINKS": "nope",
    }
    for name, value in good.items():
        monkeypatch.setenv(name, value)

    code = stream_command()

    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("STREAM_SINKS: no sink 'nope' is installed")
    assert error.count("\n") == 1


def test_the_supervisor_runs_it_and_the_journal_waits_for_it(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = JournalWriter(folder, segment_bytes=200_000, bytes_max=1_000_000, policy="pause")
    journal.append_frames(1, 1, [FRAME], 1_763_650_800_000_000)
    settings = settings_for(folder, "ws://x", "ws://y", "redis://z", stream_sinks="trades")
    plan = plan_processes(all_settings(settings), None)
    trades = plan.consumers[-1]

    trades.ensure_running(time.monotonic())
    wait_until(lambda: _rows(folder) == [("A", 1.5)], START_S)
    stopped = trades.stop(20)
    journal.close()

    assert stopped
    assert isinstance(plan.reader.options, ReaderOptions)
    assert plan.reader.options.consumers == ("latest", "trades")


def _rows(journal: Path) -> list[tuple[str, float]]:
    path = journal / "sinks" / "trades" / "trades.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        try:
            return database.execute("SELECT symbol, price FROM trades").fetchall()
        except sqlite3.OperationalError:
            return []
