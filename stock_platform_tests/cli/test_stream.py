"""`stocks stream` and `stocks replay` as commands; what they do is tested in stream/."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_platform.cli import app
from stock_platform_tests.stream.servers import redis_server

REQUIRED = (
    "POLYGON_API_KEY",
    "POLYGON_WS_SYMBOLS",
    "POLYGON_WS_HOST_REALTIME",
    "POLYGON_WS_HOST_DELAYED",
    "REDIS_URL",
)
SETTINGS = {
    "POLYGON_API_KEY": "test",
    "POLYGON_WS_SYMBOLS": "*",
    "POLYGON_WS_HOST_REALTIME": "ws://127.0.0.1:9",
    "POLYGON_WS_HOST_DELAYED": "ws://127.0.0.1:9",
    "REDIS_URL": "redis://127.0.0.1:9",
}
EVENT = (
    '{"ev":"AM","sym":"AAPL","v":10,"o":1,"c":1,"h":1,"l":1,"vw":1,"z":1,'
    '"s":1700145000000,"e":1700145060000,"ingestTs":1700145060100}\n'
)


def test_every_missing_setting_is_named_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.replace("POLYGON", "MASSIVE"), raising=False)

    result = CliRunner().invoke(app, ["stream"])

    assert result.exit_code == 2
    assert [name for name in REQUIRED if name not in result.output] == []


@pytest.mark.parametrize("name", ["METRICS_PORT", "JOURNAL_DIR", "STOCKS_SYMBOLS"])
def test_what_shows_only_at_the_start_is_named_and_ends_with_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = {
            "METRICS_PORT": str(taken.getsockname()[1]),
            "JOURNAL_DIR": str(tmp_path / "file" / "journal"),
            "STOCKS_SYMBOLS": "../x",
        }
        usual = {"JOURNAL_DIR": str(tmp_path / "journal"), "POLYGON_DISCOVER_TICKERS": "false"}
        for each, value in {**SETTINGS, **usual, name: wrong[name]}.items():
            monkeypatch.setenv(each, value)

        # Its own process: it decides where the logs of a whole process go.
        command = [sys.executable, "-m", "stock_platform.cli", "stream"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert f"{name}: " in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_an_archived_file_is_fed_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived = tmp_path / "host-seq=000001.ndjson"
    archived.write_text(EVENT)
    with redis_server(tmp_path) as redis:
        for name, value in {
            **SETTINGS,
            "REDIS_URL": redis.url,
            "STOCKS_LAKE": str(tmp_path / "lake"),
        }.items():
            monkeypatch.setenv(name, value)

        result = CliRunner().invoke(app, ["replay", str(archived)])

        keys = redis.client.keys("stock:agg1m:*")
    assert result.exit_code == 0, result.output
    assert "1 objects, 1 events: 1 newest values" in result.output
    assert keys == [b"stock:agg1m:AAPL"]
