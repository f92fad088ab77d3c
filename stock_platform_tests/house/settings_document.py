"""Writes `.env.example` and `docs/configuration.md` from the settings, so that they stay true."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from stock_platform.settings import Settings
from stock_platform.settings.loader import RENAMED, is_secret, variables_of

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

Written by `make docs` from [`settings/`](../stock_platform/settings); do not edit.
Nothing else in the platform reads the environment.

- A wrong value is one message that names the variable, and exit code 2.
- Nothing is required to start: without a key the platform loads and waits. Settings
  marked *required* are those the sidecar cannot do without.
- Whatever is marked *secret* below comes from the environment, or from one secret of AWS
  Secrets Manager (`STOCKS_SECRETS_FROM`), a JSON object with the same names:
  `{"MASSIVE_API_KEY": "...", "REDIS_URL": "..."}`. A variable that is set wins.
- `dagster dev` (and so `make dev`) reads a file `.env` in the folder it is started in.
  For the `stocks` command load it into the shell: `set -a; . ./.env; set +a`.
- `stocks doctor` checks what is configured.
- A variable that begins with STOCKS_ and is none of these has no effect: every command names
  it in one line on stderr, with the nearest known name; likewise a misspelt name of the other
  groups in `.env`. Names that other tools own (AWS_, DAGSTER_) are left alone.
- A file of symbols (`STOCKS_SYMBOLS=@watchlist.csv`) holds one a line or separated by commas;
  blank lines, quotes, comments (`# ...`) and a byte order mark are passed over, and of a table
  whose first line names a column `symbol` or `ticker` that column counts.
- An empty variable counts as not set. A renamed variable is read under its old name too,
  with one warning (see the end of this page).
- Words: [glossary](glossary.md).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One variable as people see it."""

    variable: str
    aliases: tuple[str, ...]
    default: str
    secret: bool
    description: str


def concerns() -> Iterator[tuple[type[BaseSettings], list[Setting]]]:
    """Return every class of settings with its variables, in the order of `Settings`."""
    for kind in Settings.concerns().values():
        yield kind, [_setting(kind, name, field) for name, field in kind.model_fields.items()]


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
    rows = "".join(f"| `{old}` | `{new}` |\n" for old, new in RENAMED.items())
    sections.append(f"\n## Renamed variables\n\n| old | present |\n|---|---|\n{rows}")
    return "".join(sections)


def _setting(kind: type[BaseSettings], name: str, field: FieldInfo) -> Setting:
    first, *others = variables_of(kind, name)
    return Setting(
        variable=first,
        aliases=tuple(others),
        default=_default(field),
        secret=is_secret(field),
        description=field.description or "",
    )


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
    meaning = f"# {setting.description}{also}\n" if setting.description or also else ""
    quote = "'" if set(setting.default) & set(' "{[*;') else ""
    return f"{meaning}#{setting.variable}={quote}{setting.default}{quote}\n"


def _row(setting: Setting) -> str:
    names = "<br>".join(f"`{name}`" for name in (setting.variable, *setting.aliases))
    default = f"`{setting.default}`" if setting.default else ""
    meaning = ". ".join(filter(None, ["secret" * setting.secret, setting.description]))
    return f"| {names} | {default} | {meaning.replace(_BAR, _ESCAPED)} |\n"
