"""Dagster code that several concepts of `defs/` share, and what a defs.yaml may name.

`IndicatorSet` is imported on first use: most importers of this package need one module of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stock_platform.components.indicator_set import IndicatorSet

__all__ = ["IndicatorSet"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    # Hidden from type checkers, which would accept any name because of it.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module("stock_platform.components.indicator_set"), name)
        globals()[name] = found
        return found
