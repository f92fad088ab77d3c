"""Writes `.env.example` and `docs/configuration.md` from the settings, so that they stay true."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from stock_platform import settings

ENV_EXAMPLE, CONFIGURATION = Path(".env.example"), Path("docs/configuration.md")
_JSON = (dict, tuple)
_BAR, _ESCAPED = "|", r"\|"

_ENV_HEAD = """\
# Every setting of stock_platform with its default; written by `make docs`, do not edit.
# Copy to .env and take the # away from what you set. Dagster reads .env by itself
# (`make dev`); for the `stocks` command load it into the shell: set -a; . ./.env; set +a
"""
_PAGE_HEAD = """\
# Configuration

Written by `make docs` from [`settings.py`](../stock_platform/settings/base.py); do not edit.
Nothing else in the platform reads the environment.

- A wrong value is one message that names the variable, and exit code 2.
- Nothing is required to start: without a key the platform loads and waits. Settings
  marked *required* are those the sidecar cannot do without.
- API keys come from the environment or from one secret of AWS Secrets Manager
  (`STOCKS_SECRETS_FROM`), a JSON object with the same names. A variable that is set wins.
- `dagster dev` (and so `make dev`) reads a file `.env` in the folder it is started in.
  For the `stocks` command load it into the shell: `set -a; . ./.env; set +a`.
- `stocks doctor` tells whether what is configured works.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable as people see it."""

    variable: str
    aliases: tuple[str, ...]
    default: str
    secret: bool
    description: str


def concerns() -> Iterator[tuple[type[BaseSettings], list[Setting]]]:
    """Return every class of settings with its variables, in the order of the files."""
    kinds = [kind for kind in vars(settings).values() if _is_concern(kind)]
    for kind in sorted(kinds, key=lambda kind: kind.__module__ != settings.__name__):
        prefix = str(kind.model_config.get("env_prefix", ""))
        fields = kind.model_fields.items()
        yield kind, [_setting(prefix, name, field) for name, field in fields]


def _is_concern(kind: object) -> bool:
    if not isinstance(kind, type) or not issubclass(kind, BaseSettings):
        return False
    return kind is not BaseSettings and not kind.__name__.startswith("_")


def env_example() -> str:
    """Return the text of `.env.example`; a variable of two concerns stands there once."""
    lines, seen = [_ENV_HEAD], set[str]()
    for kind, found in concerns():
        lines.append(f"\n# --- {_title(kind)}\n")
        for setting in found:
            if setting.variable not in seen:
                seen.add(setting.variable)
                lines.append(_env_lines(setting))
    return "".join(lines)


def configuration() -> str:
    """Return the text of `docs/configuration.md`."""
    sections = [_PAGE_HEAD]
    for kind, found in concerns():
        rows = "".join(_row(setting) for setting in found)
        sections.append(
            f"\n## {_title(kind)}\n\n| variable | default | meaning |\n|---|---|---|\n{rows}"
        )
    return "".join(sections)


def _setting(prefix: str, name: str, field: FieldInfo) -> Setting:
    alias = field.validation_alias
    named = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []
    first, *others = named or [f"{prefix}{name}".upper()]
    secret = "SecretStr" in str(field.annotation)
    return Setting(first, tuple(others), _default(field), secret, field.description or "")


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if field.is_required() or value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and value and "Symbol" in str(field.annotation):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, _JSON) else str(value)


def _title(kind: type[BaseSettings]) -> str:
    return (kind.__doc__ or kind.__name__).splitlines()[0].rstrip(".")


def _env_lines(setting: Setting) -> str:
    also = f" (also {', '.join(setting.aliases)})" if setting.aliases else ""
    told = f"# {setting.description}{also}\n" if setting.description or also else ""
    quote = "'" if set(setting.default) & set(' "{[*;') else ""
    return f"{told}#{setting.variable}={quote}{setting.default}{quote}\n"


def _row(setting: Setting) -> str:
    names = "<br>".join(f"`{name}`" for name in (setting.variable, *setting.aliases))
    default = f"`{setting.default}`" if setting.default else ""
    meaning = ". ".join(filter(None, ["secret" * setting.secret, setting.description]))
    return f"| {names} | {default} | {meaning.replace(_BAR, _ESCAPED)} |\n"
