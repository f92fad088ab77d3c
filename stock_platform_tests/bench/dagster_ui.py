"""How long the UI waits for the minute asset's page, and what a heal run costs beyond its work.

Nearly every minute of 60 sessions, then of a year, is materialized in a real
Postgres (pgserver) instance; a real webserver answers the UI's own queries.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pgserver
import yaml

from stock_platform.cli.dev.processes import stop
from stock_platform.domain.sessions import Calendar
from stock_platform_tests.bench.report import Report
from stock_platform_tests.free_ports import free_port

YEAR, SIXTY = 252, 60
ASK_TIMES = 5
ROOT = Path(__file__).resolve().parents[2]

PARTITION_HEALTH = """
query PartitionHealth($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      id
      partitionKeysByDimension { name type partitionKeys }
      partitionStats { numMaterialized numMaterializing numPartitions numFailed }
      assetPartitionStatuses {
        __typename
        ... on MultiPartitionStatuses {
          primaryDimensionName
          ranges {
            primaryDimStartKey primaryDimEndKey primaryDimStartTime primaryDimEndTime
            secondaryDim {
              ... on DefaultPartitionStatuses {
                materializedPartitions failedPartitions
                materializingPartitions unmaterializedPartitions
              }
            }
          }
        }
      }
    }
  }
}
"""

LATEST = """
query Latest($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset {
      assetMaterializations(limit: 100) {
        timestamp partition metadataEntries { label description }
      }
    }
  }
}
"""


def main() -> None:
    report = Report("Dagster's UI over the minute asset")
    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(f"{folder}/postgres", cleanup_mode="stop")
        for sessions, name, target in ((SIXTY, "60_sessions", "< 1"), (YEAR, "year", "< 4")):
            server.psql(f"create database ui_{name};")
            home = _make_home(Path(folder) / name, server.get_uri(f"ui_{name}"))
            environment = _environment(home, sessions)
            filled = _fill(environment)
            report.add(f"recorded_{name}_per_s", filled, "1/s")
            with _webserver(environment) as url:
                # The first answer also fills Dagster's cache of partition statuses.
                first, again, size = _ask(url, PARTITION_HEALTH)
                report.add(f"page_{name}_first", first, "s")
                report.add(f"page_{name}", again, "s", target)
                report.add(f"page_{name}_answer", size / 1000, "kB")
                report.add(f"events_{name}", _ask(url, LATEST)[1], "s", "< 1")
        server.cleanup()
    _heal_overhead(report)
    report.finish()


def _make_home(home: Path, uri: str) -> Path:
    home.mkdir(parents=True)
    url = uri.replace("postgresql://", "postgresql+psycopg2://", 1)
    storage = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(storage))
    return home


def _environment(home: Path, sessions: int) -> dict[str, str]:
    calendar = Calendar()
    last = calendar.latest_closed(datetime.now(UTC))
    first = calendar.previous(last, sessions - 1)
    return {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "STOCKS_FIRST_SESSION": first.isoformat(),
        "STOCKS_LAST_SESSION": last.isoformat(),
        "STOCKS_LAKE": str(home / "lake"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }


def _fill(environment: dict[str, str]) -> float:
    """Record nearly every minute as materialized; return the events recorded a second."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "stock_platform_tests.bench.fill_minutes"],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(out.stdout.split()[-1])


@contextmanager
def _webserver(environment: dict[str, str]) -> Generator[str]:
    port = free_port()
    arguments = ["-m", "dagster_webserver", "-m", "stock_platform.definitions", "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        stop(process)


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            if httpx2.get(f"{url}/server_info", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.2)
    raise RuntimeError(f"the webserver at {url} did not start")


def _ask(url: str, query: str) -> tuple[float, float, int]:
    """Return the first answer's seconds, the median of the next ones, and the answer's bytes."""
    body = {"query": query, "variables": {"key": {"path": ["lake", "minute_bars"]}}}
    seconds: list[float] = []
    size = 0
    for _ in range(ASK_TIMES + 1):
        started = time.perf_counter()
        answer = httpx2.post(f"{url}/graphql", json=body, timeout=300)
        seconds.append(time.perf_counter() - started)
        size = len(answer.content)
        assert "errors" not in answer.json(), answer.text[:500]
    return seconds[0], sorted(seconds[1:])[ASK_TIMES // 2], size


def _heal_overhead(report: Report) -> None:
    """Measure a heal run of one minute: the whole process against the work inside it."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "stock_platform_tests.bench.one_heal"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    whole, work = (float(word) for word in out.stdout.split()[-2:])
    report.add("heal_run_whole", whole, "s", "< 10")
    report.add("heal_run_work", work, "s")
    report.add("heal_run_overhead", whole - work, "s")


if __name__ == "__main__":
    main()
