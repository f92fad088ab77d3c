"""`ingest/stream_log`: what the streaming sidecar archived and when it was connected.

The sidecar is no run of Dagster's. It is observed: its connection log in the lake, and
its health by HTTP where it can be reached.
"""

import dagster as dg

from stock_platform.components import metadata
from stock_platform.domain.coverage import CONNECTIONS

stream_log = dg.AssetSpec(
    key=["ingest", "stream_log"],
    description="""One row is one connection's time on one channel (AM, FMV, T, Q).

Written by the streaming sidecar, not by a run: the evidence behind every silent minute.
Observed every few minutes while it changes.""",
    group_name="ingest",
    kinds={"websocket", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(CONNECTIONS, ("writer", "connection", "channel")),
)
