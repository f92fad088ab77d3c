"""The streaming sidecar seen from outside: its health, and how far its consumers are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.healing.liveness import last_heard
from stock_platform.lake import stream_parts
from stock_platform.pipelines.context import LakeContext
from stock_platform.stream import status

TIMEOUT_S = 5.0
LOGS_READ = 5
"""Sessions whose connection logs are read: a channel silent for longer is not expected."""
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


def signs_of_life(lake_context: LakeContext, now: datetime) -> dict[str, datetime]:
    """Return the last sign of life of every channel heard in the last sessions."""
    recent = lake_context.sessions(now)[-LOGS_READ:]
    return last_heard(
        stream_parts.read_connections(lake_context.store, session) for session in recent
    )


def grid_now(lake_context: LakeContext, now: datetime) -> MinuteGrid | None:
    """Return the grid of today's session, None on a closed day."""
    today = now.astimezone(NEW_YORK).date()
    return lake_context.calendar.grid(today) if lake_context.calendar.is_session(today) else None
