"""Secrets that no variable sets, from one secret in AWS Secrets Manager.

The secret is a JSON object named like the variables, `{"MASSIVE_API_KEY": "..."}`.
A variable that is set wins, so that one key can be tried without touching the
secret. Secrets live in `SecretStr` only, never in run config, logs or metadata.

A command and the sidecar read all settings with `Settings.from_env(secrets=read_secret)`;
a run of Dagster uses the client of dagster-aws' resource instead (`secret_of`).
"""

import json
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from stock_platform.errors import InvalidDataError, PermanentError, PlatformError, TransientError
from stock_platform.settings import RequestSettings

_RETRYABLE = frozenset({"ThrottlingException", "InternalServiceError", "ServiceUnavailable"})


def read_secret(requests: RequestSettings) -> dict[str, SecretStr]:
    """Return the variables in the secret that the settings name; without a name there are none.

    Raise `TransientError` when AWS does not answer, `PermanentError` when the secret cannot
    be read and `InvalidDataError` when it is no JSON object.

        settings = Settings.from_env(secrets=read_secret)
    """
    if not requests.secrets_from:
        return {}
    # A second of every process start, and most get their keys from the environment.
    import boto3
    from botocore.config import Config

    def client() -> Any:
        return boto3.client(
            "secretsmanager",
            region_name=requests.secrets_region,
            endpoint_url=requests.secrets_endpoint or None,
            config=Config(
                connect_timeout=requests.request_timeout_s,
                read_timeout=requests.request_timeout_s,
                retries={"max_attempts": requests.attempts_max, "mode": "standard"},
            ),
        )

    return secret_of(client, requests.secrets_from)


def secret_of(client: Callable[[], Any], name: str) -> dict[str, SecretStr]:
    """Read a secret with boto3's client of Secrets Manager; raises as `read_secret` does."""
    from botocore.exceptions import BotoCoreError, ClientError

    problem: PlatformError
    try:
        text = client().get_secret_value(SecretId=name)["SecretString"]
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        kind = TransientError if code in _RETRYABLE else PermanentError
        problem = kind(f"the secret of STOCKS_SECRETS_FROM cannot be read: {code}")
    except BotoCoreError as error:
        problem = TransientError(f"AWS Secrets Manager does not answer: {type(error).__name__}")
    except KeyError:
        problem = PermanentError("the secret of STOCKS_SECRETS_FROM is binary, expected JSON text")
    else:
        return _read(text)
    raise problem


def _read(text: str) -> dict[str, SecretStr]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        # Outside of the handler: the decoder's exception holds the whole secret.
        raise InvalidDataError("the secret of STOCKS_SECRETS_FROM is no JSON object")
    return {str(name): SecretStr(str(value)) for name, value in values.items() if value}
