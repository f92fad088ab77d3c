"""The sidecar's settings: exact names, aliases, one clear message per mistake."""

import pytest
from pydantic import SecretStr

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
    for field in StreamSettings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
        monkeypatch.delenv(field.upper().replace("POLYGON", "MASSIVE"), raising=False)
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


ALIASED = {
    "API_KEY": ("polygon_api_key", "other", SecretStr("other")),
    "WS_SYMBOLS": ("polygon_ws_symbols", "MSFT", ("MSFT",)),
    "WS_HOST_REALTIME": ("polygon_ws_host_realtime", "ws://h:1", "ws://h:1"),
    "WS_HOST_DELAYED": ("polygon_ws_host_delayed", "ws://h:2", "ws://h:2"),
    "DISCOVER_TICKERS": ("polygon_discover_tickers", "false", False),
    "TICKER_LIMIT": ("polygon_ticker_limit", "7", 7),
    "SUBSCRIBE_BATCH": ("polygon_subscribe_batch", "9", 9),
}


@pytest.mark.parametrize("name", ALIASED)
def test_every_polygon_name_has_a_massive_one(name: str, environment: pytest.MonkeyPatch) -> None:
    field, text, value = ALIASED[name]
    environment.delenv(f"POLYGON_{name}", raising=False)
    environment.setenv(f"MASSIVE_{name}", text)

    assert getattr(load(StreamSettings), field) == value


def test_no_polygon_setting_is_without_an_alias() -> None:
    fields = [name for name in StreamSettings.model_fields if name.startswith("polygon_")]

    assert sorted(field for field, _, _ in ALIASED.values()) == sorted(fields)


@pytest.mark.parametrize("name", ALIASED)
def test_of_both_names_the_polygon_one_counts(name: str, environment: pytest.MonkeyPatch) -> None:
    field, text, value = ALIASED[name]
    environment.setenv(f"POLYGON_{name}", text)
    environment.setenv(f"MASSIVE_{name}", "1")

    assert getattr(load(StreamSettings), field) == value


def test_an_empty_polygon_name_leaves_the_word_to_the_massive_one(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("POLYGON_API_KEY", "")
    environment.setenv("MASSIVE_API_KEY", "other")

    assert load(StreamSettings).polygon_api_key.get_secret_value() == "other"


def test_a_wrong_alias_is_named_as_it_was_set(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("POLYGON_WS_HOST_DELAYED")
    environment.setenv("MASSIVE_WS_HOST_DELAYED", "https://x")

    stream_command()

    assert "(or MASSIVE_WS_HOST_DELAYED): starts with wss://" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["socket.massive.com", "wss://socket.massive.com/"])
def test_a_host_alone_is_spoken_to_over_tls(host: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("POLYGON_WS_HOST_REALTIME", host)

    assert load(StreamSettings).polygon_ws_host_realtime == "wss://socket.massive.com"


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named_and_the_exit_code_is_2(
    name: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv(name)

    code = stream_command()

    assert code == 2
    said = capsys.readouterr().err
    assert f" {name}" in said
    assert said.endswith(": Field required\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLYGON_WS_HOST_REALTIME", "wss://socket.massive.com/stocks"),
        ("POLYGON_WS_HOST_REALTIME", "socket.massive.com/stocks/"),
        ("POLYGON_WS_HOST_REALTIME", "wss://"),
        ("POLYGON_WS_HOST_REALTIME", "wss://socket.massive.com:port"),
        ("POLYGON_WS_HOST_DELAYED", "https://delayed.massive.com"),
        ("POLYGON_WS_SYMBOLS", "AAPL,../x"),
        ("REDIS_URL", "memcached://x"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://:very-secret@host:port/0"),
        ("REDIS_TOKEN", ""),
        ("QUEUE_ENABLED", "true"),
        ("POLYGON_WS_SYMBOLS", " , "),
        ("POLYGON_TICKER_LIMIT", "-1"),
        ("POLYGON_SUBSCRIBE_BATCH", "0"),
        ("POLYGON_DISCOVER_TICKERS", "perhaps"),
        ("WS_HEALTH_INTERVAL_SEC", "0"),
        ("BACKOFF_FACTOR", "0.5"),
        ("BACKOFF_MAX_MS", "999"),
        ("S3_ENABLED", "perhaps"),
        ("S3_PART_SIZE_BYTES", "5242879"),
        ("S3_MAX_OBJECT_BYTES", "5242879"),
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
    upstash = {"REDIS_URL": "https://eu1.upstash.io"}
    beside = {"REDIS_TOKEN": upstash, "QUEUE_ENABLED": {**upstash, "REDIS_TOKEN": "t"}}
    usual = {"S3_ENABLED": "true", "S3_BUCKET": "b", **beside.get(name, {})}
    for each, text in {**usual, name: value}.items():
        environment.setenv(each, text)

    code = stream_command()

    said = capsys.readouterr().err
    assert code == 2
    assert f"settings are wrong: {name}" in said
    assert said.count("\n") == 1
    assert "very-secret" not in said
