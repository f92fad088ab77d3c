"""What the sidecar writes: a part per live minute, and when it was connected."""

import hashlib
from datetime import date

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.lake import parquet, tables
from stock_platform.lake.object_store import ObjectMeta, ObjectStore, update
from stock_platform.lake.write import Published, publish_minute_bars, require_session


def write_live_minute(  # noqa: PLR0917 - in the order in which a part's path names them
    store: ObjectStore, session: date, label: str, writer: str, bars: pl.DataFrame
) -> str:
    """Write the bars that closed with minute `label` ("0931", New York); return the part's URI.

    Parts never change: the same bars again are the same part, other bars under
    a used label become a part of their own. Bars re-sent for an earlier minute
    of the session may be among them.
    """
    parquet.require("live bars", bars, MINUTE_BARS)
    require_session(bars, session)
    folder = tables.folder("minute_bars_live", session)
    data = parquet.encode("minute_bars_live", bars.sort("symbol", "minute"), folder=folder)
    path = tables.live_part(session, label, writer)
    if not store.put_if_absent(path, data):
        found = store.get(path)
        if found is None or found[0] != data:
            digest = hashlib.sha256(data).hexdigest()[:12]
            path = tables.live_part(session, label, writer, digest)
            store.put_if_absent(path, data)
    return store.uri(path)


def live_parts(store: ObjectStore, session: date) -> list[ObjectMeta]:
    """Return the parts of a session that are not compacted yet, in the order of their minutes."""
    return store.list(tables.folder("minute_bars_live", session))


def bars_in_parts(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return symbol and minute of the bars of a session that are not compacted yet."""
    found = [
        parquet.decode(entry.path, got[0], MINUTE_BARS, columns=["symbol", "minute"])
        for entry in live_parts(store, session)
        if (got := store.get(entry.path))
    ]
    schema = {name: MINUTE_BARS[name] for name in ("symbol", "minute")}
    return pl.concat([pl.DataFrame(schema=schema), *found])


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


def part_rows(store: ObjectStore, entry: ObjectMeta) -> int | None:
    """Count the bars of one part; None when it was compacted meanwhile."""
    got = store.get(entry.path)
    return parquet.decode(entry.path, got[0], columns=["symbol"]).height if got else None


def write_connections(
    store: ObjectStore, session: date, writer: str, connections: pl.DataFrame
) -> str:
    """Write one writer's connections of a session, all of them so far; return the URI.

    A row stored before and absent now stays: a restarted sidecar need not
    remember what it wrote. Raises `PermanentError` for other columns.
    """
    parquet.require("connections", connections, CONNECTIONS)
    path = tables.connections(session, writer)

    def change(found: bytes | None) -> tuple[bytes | None, None]:
        known = parquet.decode(path, found, CONNECTIONS) if found else connections.clear()
        merged = _deduplicate_connections(known, connections)
        if found and merged.equals(known):
            return None, None
        folder = tables.folder("stream_log", session)
        return parquet.encode("stream_log", merged, folder=folder), None

    update(store, path, change)
    return store.uri(path)


def read_connections(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return every writer's connections of a session."""
    found = [
        parquet.decode(entry.path, got[0], CONNECTIONS)
        for entry in store.list(tables.folder("stream_log", session))
        if (got := store.get(entry.path))
    ]
    return pl.concat([pl.DataFrame(schema=CONNECTIONS), *found])


def _deduplicate_connections(*frames: pl.DataFrame) -> pl.DataFrame:
    """Of one connection and channel, keep the row that saw life last, then the ended one."""
    key = list(tables.TABLES["stream_log"].key)
    rows = pl.concat([frame.select(list(CONNECTIONS)) for frame in frames])
    return rows.sort([*key, "alive_until", "disconnected_at", "connected_at"]).unique(
        key, keep="last", maintain_order=True
    )
