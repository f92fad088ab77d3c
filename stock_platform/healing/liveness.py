"""Whether the stream lives, from the connection log alone: it is read wherever the lake is."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from stock_platform.domain.sessions import MinuteGrid

PARTLY = ".partly"


def last_heard(connections: Iterable[pl.DataFrame]) -> dict[str, datetime]:
    """Return the last sign of life of every channel in the logs of some sessions."""
    logs = [log for log in connections if log.height]
    if not logs:
        return {}
    channel = pl.col("channel").str.strip_suffix(PARTLY)
    last = pl.concat(logs).group_by(channel).agg(pl.col("alive_until").max())
    return dict(last.sort("channel").iter_rows())


def silent_channels(
    signs: Mapping[str, datetime], grid: MinuteGrid | None, now: datetime, patience: timedelta
) -> dict[str, datetime]:
    """Name the channels without a sign of life for `patience` while the market is open.

    `grid` is of the session now, None on a closed day. Each with since when it is silent.
    """
    if grid is None or not grid.opens_at + patience <= now < grid.closes_at:
        return {}
    return {
        channel: max(last, grid.opens_at)
        for channel, last in signs.items()
        if now - last > patience
    }
