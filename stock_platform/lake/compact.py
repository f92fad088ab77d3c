"""Merge a session's live parts into its base. Safe to stop and repeat at any point."""

from datetime import date

from stock_platform.domain.bar import MINUTE_BARS
from stock_platform.lake import parquet
from stock_platform.lake.live import live_parts
from stock_platform.lake.publish import Published, publish_minute_bars
from stock_platform.lake.store import Store


def compact(store: Store, session: date) -> Published:
    """Merge the live parts into the session's object, then delete those merged.

    A part that arrives meanwhile is left for the next time. Stopped between
    the two steps, the parts are merged again, which changes nothing.
    """
    parts = [
        (entry.path, got[0])
        for entry in live_parts(store, session)
        if (got := store.get(entry.path))
    ]
    bars = parquet.decode_all(parts, MINUTE_BARS)
    published = publish_minute_bars(store, session, bars)
    store.delete([path for path, _ in parts])
    return published
