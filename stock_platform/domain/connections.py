"""When the feed was connected and alive: the evidence behind every `silent` minute."""

import polars as pl

from stock_platform.domain.bars import INSTANT

CONNECTIONS = pl.Schema(
    {
        "writer": pl.String(),
        "connection": pl.String(),
        "channel": pl.String(),
        "connected_at": INSTANT,
        "alive_until": INSTANT,
        "disconnected_at": INSTANT,
    }
)
"""One row per connection and channel (AM, T, Q, FMV). `connected_at` is when the channel
was confirmed, `alive_until` when the last sign of life came (data or heartbeat),
`disconnected_at` null while the connection stands. Key (writer, connection, channel)."""
