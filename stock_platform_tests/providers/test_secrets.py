"""Keys from AWS Secrets Manager, against a real server of that protocol."""

import json
from collections.abc import Generator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stock_platform.errors import InvalidDataError, PermanentError, PlatformError, TransientError
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import FinnhubSettings, MassiveSettings, RequestSettings, load
from stock_platform_tests.providers.conftest import CANARY


@pytest.fixture(scope="module")
def aws_url() -> Generator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = boto3.client("secretsmanager", endpoint_url=aws_url, region_name="us-east-1")
    yield client
    client.close()


def settings(aws_url: str, name: str) -> RequestSettings:
    return RequestSettings(
        secrets_from=name, secrets_endpoint=aws_url, attempts_max=1, request_timeout_s=2.0
    )


def test_without_a_name_nobody_is_asked() -> None:
    assert read_secret(RequestSettings(secrets_from="")) == {}


def test_a_stored_key_fills_what_the_environment_left_empty(
    aws: Any, aws_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", "")
    monkeypatch.setenv("FINNHUB_API_KEY", "given")
    stored = {"POLYGON_API_KEY": CANARY, "FINNHUB_API_KEY": "stored", "UNUSED": "", "MORE": 1}
    aws.create_secret(Name="keys", SecretString=json.dumps(stored))

    found = read_secret(settings(aws_url, "keys"))
    massive, finnhub = load(MassiveSettings, found), load(FinnhubSettings, found)

    assert massive.api_key.get_secret_value() == CANARY
    assert finnhub.api_key.get_secret_value() == "given"
    assert CANARY not in f"{found} {massive}"


@pytest.mark.parametrize("text", [CANARY, f'["{CANARY}"]', f'{{"a": "{CANARY}'])
def test_a_secret_that_is_no_object_is_malformed_and_not_told(
    text: str, aws: Any, aws_url: str
) -> None:
    name = f"odd-{abs(hash(text))}"
    aws.create_secret(Name=name, SecretString=text)

    with pytest.raises(InvalidDataError) as caught:
        read_secret(settings(aws_url, name))

    assert CANARY not in f"{caught.value} {caught.value.__context__!r}"


def test_a_secret_that_is_not_there_is_permanent(aws: Any, aws_url: str) -> None:
    with pytest.raises(PermanentError, match="ResourceNotFoundException"):
        read_secret(settings(aws_url, "nothing"))


def test_bytes_are_permanent(aws: Any, aws_url: str) -> None:
    aws.create_secret(Name="bytes", SecretBinary=b"\x00\x01")

    with pytest.raises(PermanentError, match="binary"):
        read_secret(settings(aws_url, "bytes"))


@pytest.mark.usefixtures("aws")
def test_nobody_there_is_transient() -> None:
    with pytest.raises(PlatformError) as caught:
        read_secret(settings("http://127.0.0.1:9", "keys"))

    assert type(caught.value) is TransientError
