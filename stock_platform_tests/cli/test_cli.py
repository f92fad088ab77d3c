"""The `stocks` command as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_platform.cli import app

COMMANDS = ("demo", "simulate", "coverage", "verify", "sql", "init", "doctor", "version")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOCKS_LAKE", str(tmp_path))
    monkeypatch.setenv("STOCKS_SYMBOLS", "AAPL,MSFT")
    monkeypatch.setenv("STOCKS_FIRST_SESSION", "2020-11-25")
    monkeypatch.setenv("STOCKS_LAST_SESSION", "2020-11-27")
    return tmp_path


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stock_platform.cli", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_is_for(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert "Usage" in result.output


def test_coverage_of_an_empty_lake_is_all_missing(lake: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", "--json"])

    rows = json.loads(result.output)
    # Thanksgiving is no session; the day after it is half of one.
    assert [(row["session"], row["expected"], row["missing"]) for row in rows] == [
        ("2020-11-25", 780, 780),
        ("2020-11-27", 420, 420),
    ]


def test_coverage_of_one_symbol_names_its_gaps(lake: Path) -> None:
    result = CliRunner().invoke(
        app, ["coverage", "--session", "2020-11-27", "--symbol", "MSFT", "--json"]
    )

    [row] = json.loads(result.output)
    assert row["gaps"] == ["09:30-12:59"]


def test_coverage_of_a_symbol_spelt_otherwise_names_the_nearest(lake: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", "--symbol", "msft", "--json"])

    assert "msft is expected on none of these sessions; did you mean MSFT?" in result.stderr
    assert {row["expected"] for row in json.loads(result.stdout)} == {0}


def test_sql_answers_in_json(lake: Path) -> None:
    result = CliRunner().invoke(app, ["sql", "select count(*) as bars from minute_bars", "--json"])

    assert json.loads(result.output) == [{"bars": 0}]


def test_a_session_nobody_expects_is_one_line_and_exit_code_2(lake: Path) -> None:
    result = _run("coverage", "--session", "2020-11-26")

    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "2020-11-26 is not a session the lake should hold" in result.stderr


def test_a_wrong_setting_is_named(lake: Path) -> None:
    result = _run("coverage", STOCKS_GRACE_MINUTES="-3")

    assert result.returncode == 2
    assert "STOCKS_GRACE_MINUTES" in result.stderr


def test_unknown_settings_are_named_once_in_one_line(lake: Path) -> None:
    result = _run("coverage", "--json", STOCKS_SYMBOL="AAPL", STOCKS_FOO_BAR_BAZ="1")

    [line] = [each for each in result.stderr.splitlines() if "unknown settings" in each]
    assert "STOCKS_SYMBOL (did you mean STOCKS_SYMBOLS?)" in line
    assert "STOCKS_FOO_BAR_BAZ" in line
    assert json.loads(result.stdout)


@pytest.mark.parametrize("command", [("version",), ("sql", "select 1"), ("doctor", "calendar")])
def test_every_command_names_an_unknown_name_of_the_env_file(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text("MASSIVE_API_KEYS=abc\nAWS_PROFILE=me\n")
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, list(command))

    assert result.stderr.count("unknown settings") == 1
    assert "MASSIVE_API_KEYS (did you mean MASSIVE_API_KEY?)" in result.stderr
    assert "AWS_PROFILE" not in result.stderr
    assert "abc" not in result.output


def test_a_symbol_that_is_a_path_is_refused(lake: Path) -> None:
    result = _run("coverage", "--symbol", "../../etc/passwd")

    assert result.returncode == 2
    assert "a symbol starts with" in result.stderr


def test_history_without_a_provider_says_which_variables_to_set(lake: Path) -> None:
    result = _run("init", "--sessions", "1")

    assert result.returncode == 2
    assert "MASSIVE_API_KEY" in result.stderr


def test_a_demo_never_empties_a_folder_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")

    result = _run("demo", "--folder", str(tmp_path))

    assert result.returncode == 2
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_the_first_line_of_an_env_file_with_a_byte_order_mark_counts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfSTOCKS_SYMBOLS='AAPL BAD'\r\n")
    unset = {name: value for name, value in os.environ.items() if name != "STOCKS_SYMBOLS"}

    done = subprocess.run(
        [sys.executable, "-m", "stock_platform.cli", "coverage"],
        env=unset,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "STOCKS_SYMBOLS" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("coverage",),
        ("init", "--sessions", "1"),
        ("demo", "--folder", "file"),
        ("simulate", "missing.yaml"),
        ("sql", "select 1"),
    ],
)
def test_a_file_where_a_folder_is_needed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()

    result = _run(*arguments, STOCKS_LAKE="file")

    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr


def test_a_reader_makes_no_lake(tmp_path: Path) -> None:
    for arguments in (("coverage",), ("sql", "select 1"), ("report",)):
        result = _run(*arguments, STOCKS_LAKE=str(tmp_path / "missing"))
        assert result.returncode == 2
        assert "there is no lake in" in result.stderr

    assert not list(tmp_path.iterdir())


def test_an_env_file_that_is_no_text_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes(b"\xff\xfe")

    result = _run("version")

    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
