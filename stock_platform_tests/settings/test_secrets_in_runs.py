"""Every secret through AWS Secrets Manager: in a run by dagster-aws, elsewhere by boto3."""

import json
from collections.abc import Callable, Generator
from contextlib import suppress

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stock_platform.components.secrets import SecretsResource
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings
from stock_platform.settings.loader import is_secret, variables_of

REQUIRED = {
    "POLYGON_WS_SYMBOLS": "*",
    "POLYGON_WS_HOST_REALTIME": "wss://a.example",
    "POLYGON_WS_HOST_DELAYED": "wss://b.example",
}
SECRETS = {
    (attribute, field): variables_of(kind, field)[0]
    for attribute, kind in Settings.concerns().items()
    for field, known in kind.model_fields.items()
    if is_secret(known)
}
"""Attribute and field -> the variable under which it is stored."""
STORED = {
    variable: f"canary-{variable}-0123456789" for variable in {*SECRETS.values(), "MASSIVE_API_KEY"}
} | {"REDIS_URL": "redis://:canary-REDIS_URL-0123456789@127.0.0.1"}
READERS = {
    "a run": lambda: SecretsResource().settings(),
    "a command": lambda: Settings.from_env(read_secret),
}


@pytest.fixture(scope="module")
def aws_url() -> Generator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=READERS.values(), ids=READERS)
def settings(
    request: pytest.FixtureRequest, aws_url: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for variable in {*STORED, "MASSIVE_API_KEY", "POLYGON_API_KEY"}:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in REQUIRED.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("STOCKS_SECRETS_FROM", "prod/stocks")
    monkeypatch.setenv("STOCKS_SECRETS_ENDPOINT", aws_url)
    client = boto3.client("secretsmanager", endpoint_url=aws_url, region_name="us-east-1")
    # Moto keeps one store for all tests of a process.
    with suppress(client.exceptions.ResourceExistsException):
        client.create_secret(Name="prod/stocks", SecretString=json.dumps(STORED))
    client.put_secret_value(SecretId="prod/stocks", SecretString=json.dumps(STORED))
    client.close()
    read: Callable[[], Settings] = request.param
    return read()


def test_every_secret_is_read_and_none_is_printed(settings: Settings) -> None:
    found = {
        (attribute, field): getattr(getattr(settings, attribute), field).get_secret_value()
        for attribute, field in SECRETS
    }

    assert found == {place: STORED[variable] for place, variable in SECRETS.items()}
    printed = " ".join(repr(getattr(settings, attribute)) for attribute, _ in SECRETS)
    assert "canary" not in f"{printed} {settings!r} {SecretsResource()!r}"
