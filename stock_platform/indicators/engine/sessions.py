"""Indicators of whole sessions, splits and stored states included: what an asset calls."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.indicators import splits as scale
from stock_platform.indicators.engine import states as state
from stock_platform.indicators.engine.compute import Computed, compute
from stock_platform.indicators.indicator import Indicator


def compute_sessions(
    bars: pl.DataFrame,
    indicators: Sequence[Indicator],
    *,
    first: date,
    last: date,
    splits: pl.DataFrame,
    states: pl.DataFrame | None = None,
) -> Computed:
    """Compute the sessions `first` to `last` from raw bars, each in its own scale.

    `bars` (of domain.bars.DAILY_BARS or MINUTE_BARS) reach back before `first` as far
    as history is to be used; `states` are those as of the session before `first`.
    The result's states hold those too, so that `state.as_of(states, session)` is what
    to keep with each session. Recomputing a healed session and all after it is the
    same call with its date as `first`.
    """
    dated = with_session(bars).filter(pl.col("session") <= last)
    adjusted = scale.adjust(dated, splits, as_of=last)
    new = pl.col("session") >= first
    before = states
    if states is not None:
        before = state.in_scale_of(
            states.filter(pl.col("session") < first), splits, session=last, indicators=indicators
        )
        before = state.as_of(before, last)
    computed = compute(
        adjusted.filter(new), indicators, history=adjusted.filter(~new), states=before
    )
    values = with_session(computed.values)
    values = scale.as_traded(values, splits, as_of=last, units=state.value_units(indicators))
    kept = scale.as_traded(computed.states, splits, as_of=last, units=state.state_units(indicators))
    if states is not None:
        older = states.filter(pl.col("session") < first)
        kept = pl.concat([older, kept], how="diagonal").sort("symbol", "session")
    return Computed(values, kept)


def with_session(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the session of each minute: its date in New York; daily frames have it."""
    if "session" in frame.columns:
        return frame
    return frame.with_columns(
        pl.col("minute").dt.convert_time_zone(NEW_YORK.key).dt.date().alias("session")
    )
