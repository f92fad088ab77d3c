"""Record nearly every minute of the settings' sessions; print the events a second."""

import time
import uuid

import dagster as dg
from dagster._core.events import AssetMaterialization, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry

from stock_platform.components.partitions import session_minutes

SKIP_EVERY = 97
"""A few holes, as in life: every 97th minute stays unmaterialized."""
BATCH = 1000
KEY = dg.AssetKey(["lake", "minute_bars"])


def _entry(partition: str, run_id: str) -> EventLogEntry:
    materialization = AssetMaterialization(KEY, partition=partition, metadata={"source": "bench"})
    event = DagsterEvent(
        event_type_value="ASSET_MATERIALIZATION",
        job_name="bench",
        event_specific_data=StepMaterializationData(materialization),
    )
    return EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        dagster_event=event,
        job_name="bench",
    )


def main() -> None:
    keys = session_minutes.get_partition_keys()
    kept = [key for number, key in enumerate(keys) if number % SKIP_EVERY]
    run_id = str(uuid.uuid4())
    started = time.perf_counter()
    with dg.DagsterInstance.get() as instance:
        for start in range(0, len(kept), BATCH):
            entries = [_entry(key, run_id) for key in kept[start : start + BATCH]]
            instance.event_log_storage.store_event_batch(entries)
    print(len(kept) / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
