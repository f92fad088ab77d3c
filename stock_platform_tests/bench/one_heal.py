"""Heal one minute in a run as the daemon launches it; print whole and inner seconds."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from stock_platform.domain.sessions import Calendar
from stock_platform.simulator.server import running


def main() -> None:
    calendar = Calendar()
    last = calendar.previous(calendar.latest_closed(datetime.now(UTC)))
    first = calendar.previous(last)
    market = {"symbols": 500, "first": first, "last": last}
    with (
        running({"market": {"synthetic": market}}) as simulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        home = Path(folder) / "dagster"
        home.mkdir()
        environment = {
            **os.environ,
            **simulator.environment(),
            "DAGSTER_HOME": str(home),
            "STOCKS_LAKE": f"{folder}/lake",
            "STOCKS_SYMBOLS": ",".join(simulator.market.listings()["symbol"]),
        }
        heal = [sys.executable, "-W", "ignore", "-c", _CODE]
        # The first run also makes Dagster's databases.
        subprocess.run([*heal, first.isoformat()], env=environment, check=True, capture_output=True)
        started = time.perf_counter()
        out = subprocess.run(
            [*heal, last.isoformat()], env=environment, check=True, capture_output=True, text=True
        )
        print(time.perf_counter() - started, out.stdout.split()[-1])


_CODE = """
import sys
import dagster as dg
from stock_platform.definitions import defs
key = f"{sys.argv[1]}|10:00"
job = defs().get_repository_def().get_implicit_job_def_for_assets(
    [dg.AssetKey(["lake", "minute_bars"])]
)
result = job.execute_in_process(
    instance=dg.DagsterInstance.get(),
    asset_selection=[dg.AssetKey(["lake", "minute_bars"])],
    tags={"dagster/asset_partition_range_start": key, "dagster/asset_partition_range_end": key},
)
[event] = result.asset_materializations_for_node("lake__minute_bars")
print(event.metadata["seconds"].value)
"""

if __name__ == "__main__":
    main()
