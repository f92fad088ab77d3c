"""TA-Lib's functions without the wrapper that looks for Polars and pandas in every call.

On a slice of some dozen bars the wrapper costs as much as the function behind it,
and a daily update is nothing but short slices. TA-Lib is loaded with the first
function used: pandas comes with it, and listing the indicators (Dagster's
definitions) needs neither.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return a function of TA-Lib by its name, or MEAN, the plain average among its kinds."""
    if not name.isupper() or name.startswith("_"):
        raise AttributeError(name)
    import talib

    found = talib.MA_Type.SMA if name == "MEAN" else getattr(talib, name)
    found = getattr(found, "__wrapped__", found)
    # Found like any other name of a module from now on.
    globals()[name] = found
    return found
