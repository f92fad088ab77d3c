"""Settings as they are read: renamed variables, empty ones, wrong ones, stored secrets."""

import logging

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.settings import (
    DagsterSettings,
    FinnhubSettings,
    MassiveSettings,
    RequestSettings,
    Settings,
    StocksSettings,
    load,
)
from stock_platform.settings.loader import RENAMED, is_secret, variables_of
from stock_platform.settings.loader import _warn_of_rename as warn_of_rename
from stock_platform.settings.loader import _warn_of_two_values as warn_of_two_values
from stock_platform.settings.unknown import unknown_variables

CANARY = "canary-Key_0123456789abcdef"
EVERY_SECRET = [
    pytest.param(attribute, field, variable, id=f"{attribute} {variable}")
    for attribute, kind in Settings.concerns().items()
    for field, known in kind.model_fields.items()
    for variable in variables_of(kind, field)
    if is_secret(known)
]


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Settings.concerns().values():
        for field in kind.model_fields:
            for variable in variables_of(kind, field):
                monkeypatch.delenv(variable, raising=False)
    for old in RENAMED:
        monkeypatch.delenv(old, raising=False)
    warn_of_rename.cache_clear()
    warn_of_two_values.cache_clear()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_every_renamed_variable_leads_to_one_that_is_read(old: str, new: str) -> None:
    concerns = Settings.concerns().values()

    known = {name for kind in concerns for f in kind.model_fields for name in variables_of(kind, f)}

    assert new in known
    assert old not in known


def test_an_old_name_still_works_with_one_warning_that_names_both(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STOCKS_ASKS_AT_ONCE", "3")

    with caplog.at_level(logging.WARNING):
        found = [Settings.from_env().requests.max_concurrent_requests for _ in range(2)]

    assert found == [3, 3]
    [warning] = caplog.messages
    assert "STOCKS_ASKS_AT_ONCE" in warning
    assert "STOCKS_MAX_CONCURRENT_REQUESTS" in warning


def test_the_present_name_wins_over_the_old_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STOCKS_ASKS_AT_ONCE", "3")
    monkeypatch.setenv("STOCKS_MAX_CONCURRENT_REQUESTS", "4")

    assert [load(RequestSettings).max_concurrent_requests for _ in range(2)] == [4, 4]
    [warning] = caplog.messages
    assert warning.endswith("different values; that of STOCKS_MAX_CONCURRENT_REQUESTS counts")


def test_the_same_value_under_both_names_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STOCKS_ASKS_AT_ONCE", "4")
    monkeypatch.setenv("STOCKS_MAX_CONCURRENT_REQUESTS", "4")

    assert load(RequestSettings).max_concurrent_requests == 4
    assert caplog.messages == []


def test_a_wrong_value_under_an_old_name_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_ASKS_AT_ONCE", "many")

    with pytest.raises(PermanentError) as raised:
        load(RequestSettings)

    assert "STOCKS_ASKS_AT_ONCE (now STOCKS_MAX_CONCURRENT_REQUESTS): " in str(raised.value)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("FINNHUB_REQUESTS_PER_MINUTE", "")

    assert load(DagsterSettings).home is None
    assert load(FinnhubSettings).requests_per_minute == 60


@pytest.mark.parametrize(("attribute", "field", "variable"), EVERY_SECRET)
def test_a_stored_secret_fills_what_no_variable_sets(
    attribute: str, field: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar_needs(monkeypatch)
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    monkeypatch.delenv("POLYGON_API_KEY")
    monkeypatch.delenv("REDIS_URL")
    text = f"redis://:{CANARY}@127.0.0.1" if variable == "REDIS_URL" else CANARY
    required = {"POLYGON_API_KEY": SecretStr("key"), "REDIS_URL": SecretStr("redis://127.0.0.1")}
    if variable == "MASSIVE_API_KEY":
        del required["POLYGON_API_KEY"]
    stored = {**required, variable: SecretStr(text)}

    settings = Settings.from_env(secrets=lambda _: stored)

    concern = getattr(settings, attribute)
    assert getattr(concern, field).get_secret_value() == text
    assert CANARY not in f"{concern!r} {concern} {settings!r}"


def sidecar_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the sidecar cannot do without."""
    monkeypatch.setenv("POLYGON_API_KEY", "key")
    monkeypatch.setenv("POLYGON_WS_SYMBOLS", "*")
    monkeypatch.setenv("POLYGON_WS_HOST_REALTIME", "wss://a.example")
    monkeypatch.setenv("POLYGON_WS_HOST_DELAYED", "wss://b.example")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")


def test_a_variable_that_is_set_wins_under_any_of_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", "mine")

    massive = load(MassiveSettings, {"MASSIVE_API_KEY": SecretStr(CANARY)})

    assert massive.api_key.get_secret_value() == "mine"


def test_only_secrets_come_from_the_secret() -> None:
    massive = load(MassiveSettings, {"MASSIVE_REST_URL": SecretStr("https://evil.example")})

    assert massive.rest_url == "https://api.massive.com"


def test_a_stored_secret_is_checked_like_a_variable_and_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sidecar_needs(monkeypatch)
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    stored = {"REDIS_URL": SecretStr(f"ftp://{CANARY}")}

    settings = Settings.from_env(secrets=lambda _: stored)

    with pytest.raises(PermanentError, match="REDIS_URL") as caught:
        _ = settings.stream
    assert CANARY not in str(caught.value)


def test_without_a_name_no_secret_is_read() -> None:
    def read(_: RequestSettings) -> dict[str, SecretStr]:
        raise AssertionError("STOCKS_SECRETS_FROM is empty")

    assert Settings.from_env(secrets=read).massive.api_key.get_secret_value() == ""


@pytest.mark.parametrize(
    ("attribute", "variables"),
    [
        ("stream", {"POLYGON_API_KEY": "key"}),
        ("redis", {"REDIS_URL": "redis://127.0.0.1"}),
        ("lake", {"STOCKS_LAKE": "/srv/lake"}),
        ("mail", {"STOCKS_MAIL_TRANSPORT": "smtp"}),
        ("alerts", {"STOCKS_ALERT_MAIL_TO": '["a@example.com"]'}),
    ],
)
def test_a_secret_that_cannot_be_read_does_not_stop_those_that_need_none(
    attribute: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar_needs(monkeypatch)
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def read(_: RequestSettings) -> dict[str, SecretStr]:
        raise TransientError("AWS Secrets Manager does not answer: Timeout")

    assert getattr(Settings.from_env(secrets=read), attribute)


@pytest.mark.parametrize(
    ("attribute", "variables"),
    [
        ("stream", {"REDIS_URL": ""}),
        ("redis", {"REDIS_URL": "https://a.example"}),
        ("lake", {"STOCKS_LAKE": "s3://bucket/lake"}),
        ("mail", {"STOCKS_MAIL_TRANSPORT": "smtp", "STOCKS_SMTP_USER": "me"}),
        ("alerts", {}),
        ("postgres", {}),
    ],
)
def test_a_secret_that_cannot_be_read_stops_those_that_need_one(
    attribute: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar_needs(monkeypatch)
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def read(_: RequestSettings) -> dict[str, SecretStr]:
        raise TransientError("AWS Secrets Manager does not answer: Timeout")

    with pytest.raises(TransientError, match="Secrets Manager"):
        getattr(Settings.from_env(secrets=read), attribute)


def test_a_secret_that_cannot_be_read_stops_those_that_lack_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    monkeypatch.setenv("FINNHUB_API_KEY", "mine")

    def read(_: RequestSettings) -> dict[str, SecretStr]:
        raise TransientError("AWS Secrets Manager does not answer: Timeout")

    settings = Settings.from_env(secrets=read)

    assert settings.market.history_sessions == 70
    assert settings.finnhub.api_key.get_secret_value() == "mine"
    with pytest.raises(PlatformError, match="Secrets Manager"):
        _ = settings.massive


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("STOCKS_SYMBOL", "STOCKS_SYMBOLS"),
        ("stocks_symbolz", "STOCKS_SYMBOLS"),
        ("STOCKS_LAKE_", "STOCKS_LAKE"),
        ("STOCKS_GRACE_MINUTE", "STOCKS_GRACE_MINUTES"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_one(written: str, meant: str) -> None:
    assert unknown_variables([written]) == [f"{written} (did you mean {meant}?)"]


def test_a_name_like_no_other_is_named_alone() -> None:
    assert unknown_variables(["STOCKS_XQJKVW"]) == ["STOCKS_XQJKVW"]


@pytest.mark.parametrize("name", [*RENAMED, "STOCKS_SYMBOLS", "stocks_symbols", "POLYGON_API_KEY"])
def test_a_known_or_renamed_variable_is_not_unknown(name: str) -> None:
    assert unknown_variables([name], [name]) == []


@pytest.mark.parametrize(
    "name",
    ["AWS_PROFILE", "AWS_REGIONS", "DAGSTER_PG_HOST", "REDIS_HOST", "S3_ENDPOINT", "PATH",
     "POSTGRES_PASSWORD", "QUEUE_NAME", "MASSIVE"],
)  # fmt: skip
def test_what_other_tools_own_is_never_named(name: str) -> None:
    assert unknown_variables([name], [name]) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MASSIVE_API_KEYS", "MASSIVE_API_KEY"),
        ("FINNHUB_KEY", "FINNHUB_API_KEY"),
        ("JOURNAL_DIRECTORY", "JOURNAL_DIR"),
        ("REDIS_URLS", "REDIS_URL"),
        ("S3_BUCKETT", "S3_BUCKET"),
    ],
)
def test_a_misspelt_name_of_our_other_prefixes_is_named_in_an_env_file(
    written: str, meant: str
) -> None:
    assert unknown_variables([written], []) == []
    assert unknown_variables([written], [written]) == [f"{written} (did you mean {meant}?)"]


def test_a_setting_of_an_extension_is_known() -> None:
    class AcmeSettings(StocksSettings):
        model_config = SettingsConfigDict(env_prefix="STOCKS_ACME_")
        plan: str = ""

    assert variables_of(AcmeSettings, "plan") == ("STOCKS_ACME_PLAN",)
    assert unknown_variables(["STOCKS_ACME_PLAN"]) == []
