"""Declare a function over numpy arrays as an indicator: `@sp.indicator(...)`.

A declared indicator is registered in the process that imports its module. To have it in
every run of Dagster, and in the tables of the lake, name it in an entry point as well
(docs/extending-indicators.md).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import get_args

import numpy as np

from stock_platform.errors import InvalidDataError
from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import (
    BOTH,
    Arrays,
    Column,
    Indicator,
    Recursion,
    Timeframe,
    Unit,
)
from stock_platform.indicators.registry import register

Function = Callable[..., np.ndarray | Arrays]
INPUTS = tuple(field.name for field in fields(BarArrays))
"""The arrays an indicator may read: prices and volumes as float64, `session` as day numbers."""


def indicator(
    name: str,
    *,
    columns: Mapping[str, Unit] | Sequence[Column],
    warmup: int,
    lookback: int | None = None,
    inputs: Sequence[str] | None = None,
    title: str | None = None,
    timeframes: frozenset[Timeframe] = BOTH,
    recursion: Recursion | None = None,
) -> Callable[[Function], Indicator]:
    """Return a decorator that makes an `Indicator` of a function and registers it.

    The function takes one symbol's bars, oldest first, as equally long arrays, and returns
    one array of the same length per column (a tuple of them for several). `inputs` names
    the arrays (open, high, low, close, volume, session); by default they are the names of
    its parameters. `columns` gives each column its unit, which decides what a split does to
    it: "price" and "volume" are rescaled, "percent", "points" and "ratio" are not.

    The first `warmup` values become null. `lookback` is how many bars before a bar its
    value needs (as many as the warm-up unless stated). Declaring a name again replaces what
    was declared before, as a notebook does with every run of a cell.

    Raises `InvalidDataError` for an unknown input or unit, a negative warm-up, and for a
    column another indicator writes.

        @sp.indicator("range_position", columns={"range_position": "ratio"}, warmup=0)
        def range_position(high, low, close):
            return (close - low) / (high - low)
    """

    wrong = isinstance(columns, Mapping) and sorted(set(columns.values()) - set(get_args(Unit)))
    if wrong or not columns:
        units = ", ".join(get_args(Unit))
        raise InvalidDataError(f"indicator {name}: a column has one of the units {units}")
    if warmup < 0 or (lookback is not None and lookback < 0):
        raise InvalidDataError(f"indicator {name}: warmup and lookback are numbers of bars")

    def declare(function: Function) -> Indicator:
        read = (
            tuple(inputs) if inputs is not None else tuple(inspect.signature(function).parameters)
        )
        unknown = [field for field in read if field not in INPUTS]
        if unknown:
            raise InvalidDataError(
                f"indicator {name}: bars have no {', '.join(unknown)}; "
                f"they have {', '.join(INPUTS)}"
            )
        found = Indicator(
            name=name,
            title=title or name.replace("_", " ").capitalize(),
            columns=_columns(columns, function),
            compute=_over_bars(function, read, warmup),
            warmup=warmup,
            lookback=warmup if lookback is None else lookback,
            timeframes=timeframes,
            recursion=recursion,
        )
        register(found)
        return found

    return declare


def _columns(
    columns: Mapping[str, Unit] | Sequence[Column], function: Function
) -> tuple[Column, ...]:
    if not isinstance(columns, Mapping):
        return tuple(columns)
    doc = (inspect.getdoc(function) or function.__name__).splitlines()[0].rstrip(".")
    return tuple(Column(column, unit, doc) for column, unit in columns.items())


def _over_bars(
    function: Function, inputs: Sequence[str], warmup: int
) -> Callable[[BarArrays], Arrays]:
    def compute(bars: BarArrays) -> Arrays:
        found = function(*(getattr(bars, field) for field in inputs))
        arrays = found if isinstance(found, tuple) else (found,)
        return tuple(_without_warmup(array, warmup) for array in arrays)

    return compute


def _without_warmup(array: np.ndarray, warmup: int) -> np.ndarray:
    # A copy: the function may return an array it was given.
    values = np.array(array, dtype=np.float64)
    values[:warmup] = np.nan
    return values
