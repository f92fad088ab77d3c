"""Split adjustment: put every bar, value and state into one scale of shares.

The lake keeps prices as traded. Before indicators are computed all bars are
expressed in the shares of one session; afterwards each value goes back into the
shares of its own session, so a stored average can be laid over the bar traded
that day, and a later split changes no stored row.
"""

import math
from collections.abc import Mapping
from datetime import date

import polars as pl

from stock_platform.indicators.engine.arrays import NUMBERS, PRICES
from stock_platform.indicators.indicator import Unit

_FACTOR = "_shares_then_per_share_now"

BAR_UNITS: dict[str, Unit] = {**dict.fromkeys((*PRICES, "vwap"), "price"), "volume": "volume"}


def adjust(bars: pl.DataFrame, splits: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """Express bars in the shares of session `as_of`; prices and volume become Float64.

    `bars` has symbol and session (see `series.ordered` for minute bars), `splits` is
    of domain.reference.SPLITS. A split counts from the session it is executed on:
    older prices are multiplied by from/to and older volumes divided by it.
    """
    numbers = [pl.col(name).cast(pl.Float64) for name in (*NUMBERS, "vwap") if name in bars.columns]
    return rescale(bars.with_columns(numbers), splits, as_of=as_of, units=BAR_UNITS)


def rescale(
    frame: pl.DataFrame, splits: pl.DataFrame, *, as_of: date, units: Mapping[str, Unit]
) -> pl.DataFrame:
    """Take columns from the scale of each row's session to the scale of `as_of`."""
    return _times(frame, splits, as_of=as_of, units=units, power=1)


def as_traded(
    frame: pl.DataFrame, splits: pl.DataFrame, *, as_of: date, units: Mapping[str, Unit]
) -> pl.DataFrame:
    """Take columns back from the scale of `as_of` to the scale of each row's session."""
    return _times(frame, splits, as_of=as_of, units=units, power=-1)


def _times(
    frame: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    as_of: date,
    units: Mapping[str, Unit],
    power: int,
) -> pl.DataFrame:
    moving = {"price": power, "volume": -power}
    columns = [
        (pl.col(name) * pl.col(_FACTOR) ** moving[unit]).alias(name)
        for name, unit in units.items()
        if name in frame.columns and unit in moving
    ]
    steps = _cumulated(
        splits.filter(pl.col("symbol").is_in(frame["symbol"].unique().implode())), as_of
    )
    if not steps.height or not columns:
        return frame
    order = frame.with_row_index("_row").sort("session")
    # The next split after a row's session stands for all that follow it.
    return (
        order.join_asof(
            steps,
            left_on="session",
            right_on="executed_on",
            by="symbol",
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("_row")
        .with_columns(pl.col(_FACTOR).fill_null(1.0))
        .with_columns(columns)
        .select(frame.columns)
    )


def _cumulated(splits: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return per symbol and split the product of from/to of it and all later ones up to `as_of`."""
    ratio = pl.col("split_from") / pl.col("split_to")
    return (
        splits.filter((pl.col("executed_on") <= as_of) & ratio.is_finite() & (ratio > 0))
        .unique(["symbol", "executed_on"], keep="last", maintain_order=True)
        .sort("executed_on")
        .with_columns(ratio.cum_prod(reverse=True).over("symbol").alias(_FACTOR))
        .select("symbol", "executed_on", _FACTOR)
    )


def doubtful_splits(bars: pl.DataFrame, splits: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """Return the splits that adjustment does not make disappear from the daily `bars`.

    A real split leaves the adjusted return of its session an ordinary one. When the
    adjusted move is nearer to the split's own ratio than to none, the vendor's bars
    were adjusted already, or the split is not of this symbol. Columns: symbol,
    executed_on, expected (to/from), move (adjusted close to open, as a factor).
    """
    adjusted = adjust(bars, splits, as_of=as_of).sort("symbol", "session")
    move = pl.col("open") / pl.col("close").shift().over("symbol")
    days = adjusted.select("symbol", pl.col("session").alias("executed_on"), move.alias("move"))
    ratio = pl.col("split_to") / pl.col("split_from")
    return (
        splits.select("symbol", "executed_on", ratio.alias("expected"))
        .join(days, on=["symbol", "executed_on"])
        .filter(pl.col("move").is_not_null())
        .filter(
            (pl.col("move").log() - pl.col("expected").log()).abs() < pl.col("move").log().abs()
        )
        .filter(pl.col("expected").log().abs() > math.log(_SPLIT_MIN))
        .sort("symbol", "executed_on")
    )


_SPLIT_MIN = 1.15
"""Below this a stock dividend cannot be told from an ordinary day."""
