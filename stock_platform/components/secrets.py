"""Stored secrets in runs: dagster-aws' Secrets Manager resource, with the environment first."""

import time
import warnings

import dagster as dg
from pydantic import SecretStr

from stock_platform.providers.secrets import secret_of
from stock_platform.settings import RequestSettings, Settings

HELD_S = 60.0
"""How long a process uses what it read: sensors tick far more often than a key is rotated."""
_held: dict[tuple[str, str, str], tuple[float, dict[str, SecretStr]]] = {}


class SecretsResource(dg.ConfigurableResource):
    """The secret that STOCKS_SECRETS_FROM names: a JSON object, variable -> value.

    It holds no secret itself: `settings` reads them when a run or tick starts, and a variable
    that is set in the environment wins.
    """

    def read(self, requests: RequestSettings) -> dict[str, SecretStr]:
        """Return the variables in the secret; raises as `providers.secrets.secret_of` does.

        What was read within the last minute is returned again.
        """
        source = (requests.secrets_from, requests.secrets_region, requests.secrets_endpoint)
        read_at, found = _held.get(source, (0.0, {}))
        if not found or time.monotonic() - read_at > HELD_S:
            found = self._read_now(requests)
            _held[source] = (time.monotonic(), found)
        return found

    def _read_now(self, requests: RequestSettings) -> dict[str, SecretStr]:
        # boto3 would be a second of every load of the definitions; only a run needs it.
        from dagster_aws.secretsmanager import SecretsManagerResource

        with warnings.catch_warnings():
            # dagster-aws marks the resource as beta; what is used of it is `get_client`.
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            resource = SecretsManagerResource(
                region_name=requests.secrets_region,
                endpoint_url=requests.secrets_endpoint or None,
                max_attempts=requests.attempts_max,
            )
        return secret_of(resource.get_client, requests.secrets_from)

    def settings(self) -> Settings:
        """Return every setting, read now; for the start of a run or tick.

        settings = SecretsResource().settings()
        """
        return Settings.from_env(secrets=self.read)
