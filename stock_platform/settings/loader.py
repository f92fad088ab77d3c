"""Read settings from the environment: one class of them, or all at once.

A wrong value is one message that names the variable (see `load`). Secrets are
`SecretStr`: they print as stars. An entry point (a command, a run of Dagster,
the sidecar) reads `Settings` once and hands it down; nothing below reads again.
"""

from typing import TypeVar

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stock_platform.errors import PermanentError


class StocksSettings(BaseSettings):
    """Settings whose variables begin with STOCKS_."""

    model_config = SettingsConfigDict(
        env_prefix="STOCKS_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
    )


Kind = TypeVar("Kind", bound=BaseSettings)


def load(kind: type[Kind]) -> Kind:
    """Read one class of settings; raise `PermanentError` naming every wrong variable."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = [
            f"{_variable(kind, str(problem['loc'][0]) if problem['loc'] else '', prefix)}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise PermanentError("settings are wrong: " + "; ".join(wrong)) from None


def _variable(kind: type[BaseSettings], name: str, prefix: str) -> str:
    """Name what `name`, a field or one of its variables, is set by: all its names."""
    for field, known in kind.model_fields.items():
        alias = known.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
        names = [str(choice) for choice in choices]
        if names and name in {field, *names}:
            return f"{names[0]} (or {', '.join(names[1:])})" if names[1:] else names[0]
    return f"{prefix}{name}".upper()
