"""The sidecar's settings: exact names, aliases, one clear message per mistake."""

import pytest

from stock_platform.settings import StreamSettings, load
from stock_platform.stream.supervisor import stream_command

GOOD = {
    "POLYGON_API_KEY": "very-secret",
    "POLYGON_WS_SYMBOLS": "AAPL, BRK.B",
    "POLYGON_WS_HOST_REALTIME": "wss://socket.massive.com",
    "POLYGON_WS_HOST_DELAYED": "wss://delayed.massive.com",
    "REDIS_URL": "redis://127.0.0.1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in GOOD:
        monkeypatch.delenv(name.replace("POLYGON", "MASSIVE"), raising=False)
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_defaults_are_as_agreed(environment: pytest.MonkeyPatch) -> None:
    settings = load(StreamSettings)

    assert settings.polygon_ws_symbols == ("AAPL", "BRK.B")
    assert (settings.agg1m_ttl_sec, settings.fmv_ttl_sec) == (120, 60)
    assert (settings.polygon_subscribe_batch, settings.polygon_ticker_limit) == (500, 0)
    assert (settings.backoff_initial_ms, settings.backoff_max_ms) == (1000, 30_000)
    assert settings.s3_max_object_bytes == 512_000_000
    assert settings.s3_part_size_bytes == 16_777_216
    assert (settings.s3_enabled, settings.s3_use_marker) == (False, True)


def test_massive_names_are_aliases(environment: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "WS_SYMBOLS", "WS_HOST_REALTIME", "WS_HOST_DELAYED"):
        environment.delenv(f"POLYGON_{name}")
        environment.setenv(f"MASSIVE_{name}", GOOD[f"POLYGON_{name}"])

    assert load(StreamSettings).polygon_ws_host_delayed == "wss://delayed.massive.com"


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named_and_the_exit_code_is_2(
    name: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv(name)

    code = stream_command()

    assert code == 2
    assert f"{name}: Field required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLYGON_WS_HOST_REALTIME", "wss://socket.massive.com/stocks"),
        ("POLYGON_WS_HOST_DELAYED", "https://delayed.massive.com"),
        ("POLYGON_WS_SYMBOLS", "AAPL,../x"),
        ("REDIS_URL", "memcached://x"),
        ("REDIS_TOKEN", ""),
        ("S3_WINDOW_MINUTES", "7"),
        ("S3_BUCKET", ""),
        ("JOURNAL_MAX_BYTES", "131072"),
        ("QUOTE_TTL_SEC", "0"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_is_shown(
    name: str,
    value: str,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.setenv(name, value)
    if name == "REDIS_TOKEN":
        environment.setenv("REDIS_URL", "https://eu1.upstash.io")
    environment.setenv("S3_ENABLED", "true")
    if name != "S3_BUCKET":
        environment.setenv("S3_BUCKET", "b")

    code = stream_command()

    said = capsys.readouterr().err
    assert code == 2
    assert name in said
    assert "very-secret" not in said
