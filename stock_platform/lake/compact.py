"""Merge a session's live parts into its base. Safe to stop and repeat at any point."""

from datetime import date

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.lake import parquet
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.stream_parts import live_parts
from stock_platform.lake.write import Published, publish_minute_bars


def compact(store: ObjectStore, session: date) -> Published:
    """Merge the live parts into the session's object, then delete those merged.

    A part that arrives meanwhile is left for the next time. Stopped between
    the two steps, the parts are merged again, which changes nothing.
    """
    merged = {
        entry.path: got for entry in live_parts(store, session) if (got := store.get(entry.path))
    }
    parts = [(path, data) for path, (data, _) in merged.items()]
    for path, data in parts:
        parquet.require_whole(path, data)
    published = publish_minute_bars(store, session, parquet.decode_all(parts, MINUTE_BARS))
    # A part's name can be free again after another compaction, and then hold other bars.
    now = {entry.path: entry.version for entry in live_parts(store, session)}
    store.delete([path for path, (_, version) in merged.items() if now.get(path) == version])
    return published
