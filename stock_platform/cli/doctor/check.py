"""One check of `stocks doctor`: what is checked, and what came of it.

A check runs the code that the platform itself runs, so that what passes here works
there. It leaves nothing behind, and no message holds a secret.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stock_platform.errors import PlatformError
from stock_platform.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How one dependency is checked: `run` does with it what the platform itself does."""

    name: str
    used: Callable[[Settings], bool]
    run: Callable[[Settings], str]
    """Returns what was found in a few words; raises a `PlatformError` when it does not work."""
    to_use: str
    """How to use it, shown when it is not in use."""
    remedy: str
    """What to do when it does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; `ok` is None for what is not in use."""

    name: str
    ok: bool | None
    text: str
    remedy: str = ""


def run_check(check: Check, settings: Settings, *, named: bool) -> Finding:
    """Run a check if its dependency is in use; not in use is a failure when it is `named`."""
    name = check.name
    try:
        if not check.used(settings):
            return Finding(
                name=name, ok=False if named else None, text="not in use", remedy=check.to_use
            )
        return Finding(name=name, ok=True, text=check.run(settings))
    except PlatformError as error:
        return Finding(name=name, ok=False, text=str(error), remedy=check.remedy)
    except Exception as error:  # the other checks still matter
        # Its text is not ours and may quote an address with a password in it.
        return Finding(
            name=name, ok=False, text=f"unexpected {type(error).__name__}", remedy=check.remedy
        )
