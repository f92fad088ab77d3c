"""The metrics named in the documents are those that `/metrics` renders, letter by letter."""

import re
import urllib.request
from pathlib import Path

from stock_platform.stream import status
from stock_platform.stream.health import HealthServer, Progress
from stock_platform_tests.house.repository import documents

NAME = re.compile(r"`(stock_stream_[a-z_]+\*?)`")
FEED = {
    "state": "streaming",
    "trouble": "",
    "frames": 3,
    "bytes": 300,
    "reconnects": 1,
    "refused_subscriptions": 1,
}


def rendered(folder: Path) -> set[str]:
    """Return the names of the samples that a sidecar with one feed and one tailer renders."""
    status.save(folder, "reader", {"feeds": {"trades": FEED}, "journal_bytes": 7})
    status.save(folder, "latest", {"lag_bytes": 5, "offset": 7, "settled": 7, "delay_ms": 3})
    progress = Progress(journal=folder, consumers=("latest",), restarts={"reader": 1}, leader=True)
    server = HealthServer(progress, "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
    finally:
        server.close()
    return {re.split(r"[{ ]", line)[0] for line in lines if line and not line.startswith("#")}


def test_every_metric_named_in_a_document_is_rendered(tmp_path: Path) -> None:
    names = rendered(tmp_path)
    wrong = [
        name
        for name in NAME.findall(documents())
        if name not in names
        and not (name.endswith("*") and any(each.startswith(name[:-1]) for each in names))
    ]

    assert wrong == []


def test_every_metric_rendered_is_named_in_a_document(tmp_path: Path) -> None:
    named = NAME.findall(documents())
    families = tuple(name[:-1] for name in named if name.endswith("*"))

    assert [
        n for n in sorted(rendered(tmp_path)) if n not in named and not n.startswith(families)
    ] == []
