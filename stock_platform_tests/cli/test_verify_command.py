"""`stocks verify` as a person types it: exit codes, JSON, one line for each error."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stock_platform.cli import app, main
from stock_platform.lake import tables
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.simulator.server import running
from stock_platform_tests.pipelines.settled import HALF_DAY, SESSION, context_of, settle

BARS = tables.data("minute_bars", SESSION)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lake"
    context = context_of(FileStore.open(folder))
    settle(context)
    settle(context, HALF_DAY)
    known = {
        "LAKE": str(folder),
        "SYMBOLS": "AAPL,MSFT",
        "FIRST_SESSION": str(SESSION),
        "LAST_SESSION": str(HALF_DAY),
    }
    for name, value in known.items():
        monkeypatch.setenv(f"STOCKS_{name}", value)
    return folder


def stocks(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", *words])


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_one_session_is_one_object_of_json(lake: Path) -> None:
    done = stocks("--session", str(SESSION), "--json", "-")
    held = json.loads(done.stdout)

    assert (done.exit_code, done.stderr) == (0, f"{SESSION}: sound (1 of 1)\n")
    assert done.stdout == json.dumps(held, sort_keys=True, separators=(",", ":")) + "\n"
    assert (held["ok"], held["expected"], held["missing"]) == (True, 780, 0)
    assert "symbols" not in held


def test_a_copy_prints_the_same_bytes(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(lake, lake.parent / "copy")
    first = stocks("--json", "-").stdout
    monkeypatch.setenv("STOCKS_LAKE", str(lake.parent / "copy"))

    assert stocks("--json", "-").stdout == first
    assert [held["session"] for held in json.loads(first)] == [str(HALF_DAY), str(SESSION)]


def test_a_range_is_an_array_in_a_file_with_the_table_beside_it(lake: Path) -> None:
    file = lake.parent / "out.json"
    done = stocks("--session", f"{SESSION}..{HALF_DAY}", "--symbols", "--json", str(file))
    held = json.loads(file.read_text())

    assert (done.exit_code, [len(one["symbols"]) for one in held]) == (0, [2, 2])
    assert held[0]["symbols"]["AAPL"]["observed"] == 200
    assert "verified sessions" in done.stdout


def test_damage_is_named_and_ends_with_1(lake: Path) -> None:
    damage(lake / BARS)
    done = stocks()

    assert done.exit_code == 1
    assert f"stocks: {BARS}: damaged: its bytes are not those that were written" in done.stderr
    assert "2 of 2" in done.stderr
    assert stocks("--session", str(HALF_DAY)).exit_code == 0


def test_a_foreign_file_ends_with_1_when_everything_is_verified(lake: Path) -> None:
    (lake / "notes.txt").write_text("mine")

    assert stocks().exit_code == 1
    assert "stocks: notes.txt: foreign" in stocks().stderr
    assert stocks("--session", str(SESSION)).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--session", "yesterday"], "--session is a date or a range like"),
        (["--session", "2026-11-25.."], "--session is a date or a range like"),
        (["--session", "2026-11-27..2026-11-25"], "--session begins after it ends"),
        (["--session", "2026-11-26"], "2026-11-26: not a session the lake should hold"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be used"),
        (["--against-provider"], "no provider is configured"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    lake: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["stocks", "verify", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    errors = capsys.readouterr().err

    assert stopped.value.code == 2
    assert (errors.startswith(f"stocks: {message}"), errors.count("\n")) == (True, 1)


def test_a_lake_that_is_not_there_is_not_made(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_LAKE", str(lake.parent / "none"))

    assert "there is no lake in" in str(stocks().exception)
    assert not (lake.parent / "none").exists()


def test_a_healed_lake_equals_the_record_it_was_healed_from(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(lake)
    lake.mkdir()
    market = {"symbols": ["AAPL", "MSFT"], "first": SESSION, "last": HALF_DAY, "seed": 3}
    with running({"market": {"synthetic": {**market, "splits": []}}}) as simulation:
        for name, value in simulation.environment().items():
            monkeypatch.setenv(name, value)
        CliRunner().invoke(app, ["init", "--sessions", "2"], catch_exceptions=False)
        done = stocks("--session", str(SESSION), "--against-provider", "--json", "-")

    record = json.loads(done.stdout)["record"]
    assert (done.exit_code, record["changed"], record["absent"], record["extra"]) == (0, 0, 0, 0)
    assert record["equal"] > 300
