"""Stored secrets in runs: dagster-aws' Secrets Manager resource, with the environment first."""

import warnings

import dagster as dg
from pydantic import SecretStr

from stock_platform.providers.secrets import secret_of
from stock_platform.settings import RequestSettings, Settings


class SecretsResource(dg.ConfigurableResource):
    """The secret that STOCKS_SECRETS_FROM names: a JSON object, variable -> value.

    It holds no secret itself: `settings` reads them when a run starts, and a variable
    that is set in the environment wins.
    """

    def read(self, requests: RequestSettings) -> dict[str, SecretStr]:
        """Return the variables in the secret; raises as `providers.secrets.secret_of` does."""
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
        """Return every setting, read now; for the start of a run.

        settings = SecretsResource().settings()
        """
        return Settings.from_env(secrets=self.read)
