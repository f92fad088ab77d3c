"""How far back a session's indicators have to read, symbol by symbol. Pure."""

from collections.abc import Iterable, Sequence

import polars as pl

from stock_platform.indicators.engine.arrays import time_column
from stock_platform.indicators.indicator import Indicator


def whole_states(states: pl.DataFrame | None, indicators: Sequence[Indicator]) -> pl.DataFrame:
    """Return (symbol, last) of the states in which no number is missing.

    Only such a symbol is stepped onward with every indicator; one in its warm-up, or
    with an indicator installed since, has to be computed from its bars again.
    """
    names = [column.name for indicator in indicators for column in indicator.state]
    if states is None or not set(names) <= set(states.columns):
        return pl.DataFrame(schema={"symbol": pl.String, "last": pl.Null})
    return states.drop_nulls(names).select("symbol", "last")


def newest_bars(
    frames: Iterable[pl.DataFrame],
    symbols: pl.Series,
    states: pl.DataFrame,
    *,
    near: int,
    far: int,
) -> list[pl.DataFrame]:
    """Take the newest bars of each of `symbols` out of `frames`, the newest frame first.

    `near` of them where the symbol's state is of its newest bar, else `far`. No
    frame is opened once every symbol has its bars.
    """
    pending = (
        pl.DataFrame({"symbol": symbols.unique()})
        .join(states, on="symbol", how="left")
        .with_columns(pl.lit(None, pl.Int64).alias("left"))
    )
    taken: list[pl.DataFrame] = []
    for frame in frames:
        time = time_column(frame)
        rows = frame.join(pending.select("symbol"), on="symbol", how="semi").sort("symbol", time)
        seen = rows.group_by("symbol").agg(pl.col(time).max().alias("newest"), pl.len().alias("n"))
        fits = pl.col("newest").eq_missing(pl.col("last").cast(frame.schema[time]))
        wanted = pl.when(fits).then(near).otherwise(far)
        unseen = pl.col("newest").is_null()
        pending = pending.join(seen, on="symbol", how="left").with_columns(
            pl.when(unseen).then("left").otherwise(pl.coalesce("left", wanted)).alias("left")
        )
        from_end = pl.len().over("symbol") - pl.int_range(pl.len()).over("symbol")
        taken.append(
            rows.join(pending.select("symbol", "left"), on="symbol", maintain_order="left")
            .filter(from_end <= pl.col("left"))
            .drop("left")
        )
        left = pl.col("left") - pl.col("n").fill_null(0)
        pending = pending.with_columns(left.alias("left")).drop("newest", "n")
        pending = pending.filter(pl.col("left").is_null() | (pl.col("left") > 0))
        if not pending.height:
            break
    return taken


def differing(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> set[str]:
    """Return the symbols with a row that only one of the frames has, or with another number."""
    keys = list(key)
    if not old.height or not new.height:
        return {symbol for frame in (old, new) if frame.height for symbol in frame["symbol"]}
    there, here = old.select(keys), new.select(keys)
    if here.equals(there):
        # The usual case, and the cheap one: nothing of millions of rows has to be moved.
        found = set[str]()
        both = pl.concat([new, old.drop(keys).rename("{}_old".format)], how="horizontal")
    else:
        found = {*there.join(here, on=keys, how="anti")["symbol"]}
        found |= {*here.join(there, on=keys, how="anti")["symbol"]}
        both = new.join(old, on=keys, suffix="_old")
    names = [name for name in new.columns if name not in keys]
    changed = [pl.col(n).ne_missing(pl.col(f"{n}_old")) for n in names if n in old.columns]
    changed += [pl.col(name).is_not_null() for name in names if name not in old.columns]
    differs = pl.any_horizontal(pl.lit(value=False), *changed)
    return found | set(both.lazy().filter(differs).select("symbol").collect()["symbol"])
