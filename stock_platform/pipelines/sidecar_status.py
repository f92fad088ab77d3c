"""The streaming sidecar seen from outside: its health, and how far its consumers are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from stock_platform.stream import status

TIMEOUT_S = 5.0
_OFFSET, _LAG = "stock_stream_tailer_settled", "stock_stream_tailer_lag_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarStatus:
    """What a sidecar responded."""

    where: str
    """Its address; empty when there is no trace of one."""
    responded: bool = False
    problems: tuple[str, ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict[str, int])
    """Journal offset of each tailer: everything before it is done."""
    lag_bytes: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def ok(self) -> bool:
        return self.responded and not self.problems


def fetch_status(url: str, journal: Path) -> SidecarStatus:
    """Request the status of the sidecar at `url`, or of the one that works on `journal` here."""
    where = url or _address_in(journal)
    if not where:
        return SidecarStatus(where="")
    try:
        with httpx2.Client(base_url=where, timeout=TIMEOUT_S) as http:
            health = http.get("/healthz").json()
            metrics = http.get("/metrics").text
        problems = tuple(str(problem) for problem in health["problems"])
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        return SidecarStatus(
            where=where, problems=(f"{where} does not answer: {type(error).__name__}",)
        )
    offsets, lag = _by_tailer(metrics)
    return SidecarStatus(
        where=where, responded=True, problems=problems, offsets=offsets, lag_bytes=lag
    )


def _address_in(journal: Path) -> str:
    supervisor: Mapping[str, Any] = status.load(journal).get("supervisor", {})
    port = supervisor.get("metrics_port")
    return f"http://127.0.0.1:{port}" if port else ""


def _by_tailer(metrics: str) -> tuple[dict[str, int], dict[str, int]]:
    found: dict[str, dict[str, int]] = {_OFFSET: {}, _LAG: {}}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in found and "tailer" in sample.labels:
                found[sample.name][sample.labels["tailer"]] = int(sample.value)
    return found[_OFFSET], found[_LAG]
