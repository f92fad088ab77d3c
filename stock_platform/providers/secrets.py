"""API keys: from the environment, else from one secret in AWS Secrets Manager.

The secret is a JSON object named like the variables, `{"MASSIVE_API_KEY": "..."}`.
A variable that is set wins, so that one key can be tried without touching the
secret. Keys live in `SecretStr` only, never in run config, logs or metadata.
"""

import json
from typing import Any, TypeVar

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from stock_platform.errors import InvalidDataError, PermanentError, TransientError
from stock_platform.settings import (
    FinnhubSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
)

Kind = TypeVar("Kind", bound=BaseSettings)

KEYS: dict[type[BaseSettings], dict[str, tuple[str, ...]]] = {
    MassiveSettings: {
        "api_key": ("MASSIVE_API_KEY", "POLYGON_API_KEY"),
        "flatfiles_access_key": ("MASSIVE_FLATFILES_ACCESS_KEY",),
        "flatfiles_secret_key": ("MASSIVE_FLATFILES_SECRET_KEY",),
    },
    FinnhubSettings: {"api_key": ("FINNHUB_API_KEY",)},
    RapidSettings: {"key": ("RAPIDAPI_KEY",)},
}
"""Which names of the secret fill which fields."""

_RETRYABLE = frozenset({"ThrottlingException", "InternalServiceError", "ServiceUnavailable"})


def fetch(requests: RequestSettings) -> dict[str, SecretStr]:
    """Read the secret that the settings name; without one there are no keys here."""
    if not requests.secrets_from:
        return {}
    # A second of every process start, and most get their keys from the environment.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    problem: PermanentError | TransientError
    try:
        client: Any = boto3.client(
            "secretsmanager",
            region_name=requests.secrets_region,
            endpoint_url=requests.secrets_endpoint or None,
            config=Config(
                connect_timeout=requests.request_timeout_s,
                read_timeout=requests.request_timeout_s,
                retries={"max_attempts": requests.attempts_max, "mode": "standard"},
            ),
        )
        text = client.get_secret_value(SecretId=requests.secrets_from)["SecretString"]
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


def fill(settings: Kind, secrets: dict[str, SecretStr]) -> Kind:
    """Give `settings` with the keys that the environment left empty."""
    found: dict[str, SecretStr] = {}
    for name, variables in KEYS[type(settings)].items():
        stored = next((secrets[variable] for variable in variables if variable in secrets), None)
        if stored is not None and not getattr(settings, name).get_secret_value():
            found[name] = stored
    return settings.model_copy(update=found)


def _read(text: str) -> dict[str, SecretStr]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        # Outside of the handler: the decoder's exception holds the whole secret.
        raise InvalidDataError("the secret of STOCKS_SECRETS_FROM is no JSON object")
    return {str(name): SecretStr(str(value)) for name, value in values.items() if value}
