"""When the feed was connected and alive: the evidence behind every `silent` minute."""

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US

CONNECTIONS = pl.Schema(
    {
        "writer": pl.String(),
        "connection": pl.String(),
        "channel": pl.String(),
        "connected_at": TIMESTAMP_US,
        "alive_until": TIMESTAMP_US,
        "disconnected_at": TIMESTAMP_US,
    }
)
"""One row per connection and channel (AM, T, Q, FMV). `connected_at` is when the channel
was confirmed, `alive_until` when the last sign of life came (data or heartbeat),
`disconnected_at` null while the connection stands. Key (writer, connection, channel)."""
