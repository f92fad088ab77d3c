"""The base of every class of settings, and `load`, which reads one of them.

A wrong value is one message that names the variable. Secrets are `SecretStr`: they
print as stars. A renamed variable is read under its old name too (`RENAMED`).
An entry point (a command, a run of Dagster, the sidecar) reads `Settings` once and
hands it down; nothing below reads again.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stock_platform.errors import PermanentError

RENAMED = {"STOCKS_ASKS_AT_ONCE": "STOCKS_MAX_CONCURRENT_REQUESTS"}
"""Old variable -> present variable; the old one is read when the present one is not set."""

NO_SECRETS: Mapping[str, SecretStr] = {}


class EnvironmentSettings(BaseSettings):
    """One concern's settings: frozen, from the environment, an empty variable is not set."""

    model_config = SettingsConfigDict(
        env_prefix="", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    def needed_secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not be empty, given the other fields: all by default.

        While the secret of STOCKS_SECRETS_FROM cannot be read, a concern works that has these.
        """
        return tuple(name for name, field in type(self).model_fields.items() if is_secret(field))

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic's signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, renamed variables included."""
        return init_settings, _Environment(settings_cls)


class StocksSettings(EnvironmentSettings):
    """Settings whose variables begin with STOCKS_."""

    model_config = SettingsConfigDict(env_prefix="STOCKS_")


Kind = TypeVar("Kind", bound=BaseSettings)


def load(kind: type[Kind], secrets: Mapping[str, SecretStr] = NO_SECRETS) -> Kind:
    """Read one class of settings; raise `PermanentError` naming every wrong variable.

    `secrets` (variable -> value) fills the `SecretStr` fields that no variable sets:

        load(MassiveSettings, {"MASSIVE_API_KEY": SecretStr("...")}).api_key
    """
    try:
        return kind(**_stored(kind, secrets))
    except ValidationError as error:
        renamed = _read_under_old_names(kind)
        wrong = [
            f"{_label(kind, str(problem['loc'][0]) if problem['loc'] else '', renamed)}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise PermanentError("settings are wrong: " + "; ".join(wrong)) from None


def variables_of(kind: type[BaseSettings], name: str) -> tuple[str, ...]:
    """Return the variables that set a field, the preferred one first.

    >>> variables_of(MassiveSettings, "api_key")
    ('MASSIVE_API_KEY', 'POLYGON_API_KEY')
    """
    alias = kind.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    prefix = str(kind.model_config.get("env_prefix", ""))
    return (str(alias),) if alias else (f"{prefix}{name}".upper(),)


def is_secret(field: FieldInfo) -> bool:
    """Return whether a field holds a secret."""
    return field.annotation is SecretStr


class _Environment(EnvSettingsSource):
    """The environment; a renamed variable counts under its present name, with one warning."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = dict(super()._load_env_vars())
        for old, new in RENAMED.items():
            value = found.get(old.lower())
            if value is None:
                continue
            if found.get(new.lower()) is None:
                _warn_of_rename(old, new)
                found[new.lower()] = value
            elif found[new.lower()] != value:
                _warn_of_two_values(old, new)
        return found


@cache
def _warn_of_rename(old: str, new: str) -> None:
    # To stderr: a command's result on stdout stays readable by machines.
    logging.getLogger(__name__).warning("%s was renamed to %s; the old name still works", old, new)


@cache
def _warn_of_two_values(old: str, new: str) -> None:
    logging.getLogger(__name__).warning(
        "%s and %s, its old name, are set to different values; that of %s counts", new, old, new
    )


def _read_under_old_names(kind: type[BaseSettings]) -> dict[str, str]:
    """Return the old name of each present variable that is set under its old name alone."""
    found = EnvSettingsSource(kind).env_vars
    return {
        new: old
        for old, new in RENAMED.items()
        if found.get(old.lower()) and not found.get(new.lower())
    }


def _stored(kind: type[BaseSettings], secrets: Mapping[str, SecretStr]) -> dict[str, Any]:
    """Return the secrets for fields of `kind` that the environment leaves empty."""
    if not secrets:
        return {}
    set_now = {name.upper() for name, value in _Environment(kind).env_vars.items() if value}
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        names = variables_of(kind, name)
        stored = next((secrets[variable] for variable in names if variable in secrets), None)
        if is_secret(field) and stored is not None and set_now.isdisjoint(names):
            found[names[0] if field.validation_alias else name] = stored.get_secret_value()
    return found


def _label(kind: type[BaseSettings], name: str, renamed: Mapping[str, str]) -> str:
    """Return all variables that set `name`, a field or one of its variables, for a message."""
    for field in kind.model_fields:
        names = variables_of(kind, field)
        if name in {field, *names}:
            if names[0] in renamed:
                return f"{renamed[names[0]]} (now {names[0]})"
            return f"{names[0]} (or {', '.join(names[1:])})" if names[1:] else names[0]
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()
