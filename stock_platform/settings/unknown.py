"""Variables that look like settings and are none: a misspelt one does nothing, silently."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import SequenceMatcher, get_close_matches
from importlib.metadata import entry_points

from pydantic_settings import BaseSettings

from stock_platform.settings.everything import Settings
from stock_platform.settings.loader import RENAMED, EnvironmentSettings, variables_of

PREFIX = "STOCKS_"
OWN_PREFIXES = ("MASSIVE_", "POLYGON_", "FINNHUB_", "RAPIDAPI_", "JOURNAL_", "AGG1M_", "FMV_")
"""Further prefixes that belong to this platform in its own `.env`."""
FOREIGN_PREFIXES = ("AWS_", "DAGSTER_")
"""Prefixes of settings here that other tools own: an unknown one is theirs."""
NOT_SETTINGS = frozenset({"STOCKS_CODE_HOST", "STOCKS_SHARED_DATA", "STOCKS_INSTALLED"})
"""Read by the workspace file of the images and by the tests, not by the platform."""
EXTENSION_GROUPS = tuple(
    f"stock_platform.{kind}" for kind in ("providers", "sinks", "indicators", "alert_channels")
)
NEAR, NEARLY_EQUAL = 0.6, 0.88
"""Likeness of a name worth proposing, and of one under a prefix that others use too."""


def unknown_settings(env_file: Iterable[str]) -> list[str]:
    """Return `unknown_variables` of this process and of the names in its `env_file`."""
    return unknown_variables(os.environ, env_file)


def unknown_variables(environment: Iterable[str], env_file: Iterable[str] = ()) -> list[str]:
    """Return what to tell of each unknown variable: its name, and the nearest known one.

    Of the `environment` those that begin with STOCKS_, of the names in an `env_file` also
    those of the other prefixes of this platform; under a prefix that others use too, such as
    REDIS_, only one that nearly is a known name.

        unknown_variables(["STOCKS_SYMBOL"]) == ["STOCKS_SYMBOL (did you mean STOCKS_SYMBOLS?)"]
    """
    known = _known(Settings.concerns().values())
    suspects = _suspects(environment, env_file, known)
    if suspects:
        # An extension may have settings of its own: load it before its names count as unknown.
        known |= _known(_of_extensions())
        suspects = _suspects(environment, env_file, known)
    return [_described(name, known) for name in sorted(suspects)]


def _suspects(
    environment: Iterable[str], env_file: Iterable[str], known: Mapping[str, None]
) -> set[str]:
    found = {name for name in environment if name.upper().startswith(PREFIX)}
    found |= {name for name in env_file if _is_ours(name.upper(), known)}
    return {name for name in found if name.upper() not in known}


def _is_ours(name: str, known: Mapping[str, None]) -> bool:
    if name.startswith((PREFIX, *OWN_PREFIXES)):
        return True
    shared = {each.partition("_")[0] + "_" for each in known} - set(FOREIGN_PREFIXES)
    return name.startswith(tuple(shared)) and bool(
        get_close_matches(name, known, n=1, cutoff=NEARLY_EQUAL)
    )


def _known(kinds: Iterable[type[BaseSettings]]) -> dict[str, None]:
    variables = [
        variable.upper()
        for kind in kinds
        for name in kind.model_fields
        for variable in variables_of(kind, name)
    ]
    return dict.fromkeys([*variables, *RENAMED, *NOT_SETTINGS])


def _of_extensions() -> list[type[BaseSettings]]:
    for group in EXTENSION_GROUPS:
        for point in entry_points(group=group):
            # Whoever uses a broken extension names what is wrong with it.
            with suppress(Exception):
                point.load()
    found: list[type[BaseSettings]] = []
    waiting: list[type[BaseSettings]] = [EnvironmentSettings]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


def _described(name: str, known: Mapping[str, None]) -> str:
    proposed = [each for each in known if each not in RENAMED and each not in NOT_SETTINGS]
    for near in get_close_matches(name.upper(), proposed, n=1, cutoff=NEAR):
        # The prefix that all have in common makes any two names alike.
        if SequenceMatcher(None, _after_prefix(name.upper()), _after_prefix(near)).ratio() >= 0.5:
            return f"{name} (did you mean {near}?)"
    return name


def _after_prefix(name: str) -> str:
    return name.partition("_")[2]
