"""Send alerts: once per window on every channel, from however many processes.

Each delivery is one small object per alert and channel in the lake, changed only
by compare-and-swap: `sending` before a channel is called, then `sent` or `failed`.
A process that dies in between leaves `sending`, which holds for `LEASE` only, so
an alert may come twice after a crash but is never lost with its sender.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import uuid4

import msgspec
import stamina
import structlog

from stock_platform.errors import InvalidDataError, PlatformError, TransientError
from stock_platform.lake.object_store import ObjectStore, VersionConflictError, update

log = structlog.get_logger()

ATTEMPTS_MAX = 3
"""Tries on one channel in one call; `resend_failed` comes back later."""
DELAY_S_MAX = 10.0
LEASE = timedelta(minutes=5)
"""Longer than every try on one channel together."""
GIVE_UP_AFTER = timedelta(days=1)
"""A failed alert older than this is not sent any more."""
KEEP = timedelta(days=30)
FOLDER = "alerts"


class AlertKind(StrEnum):
    """What happened."""

    FAILED_RUN = "failed_run"
    REFUSED_GAP = "refused_gap"
    EXHAUSTED_GAP = "exhausted_gap"
    SILENT_STREAM = "silent_stream"
    LATE_REPORT = "late_report"
    STALE_DATA = "stale_data"


class Severity(StrEnum):
    """How soon somebody should look."""

    WARNING = "warning"
    ERROR = "error"


class Alert(msgspec.Struct, frozen=True):
    """One thing that is wrong. The same kind and key is sent once per window."""

    kind: AlertKind
    key: str
    title: str
    text: str
    link: str = ""
    severity: Severity = Severity.ERROR


class AlertChannel(Protocol):
    """Somewhere an alert goes; others are added by entry points (registry.py)."""

    @property
    def name(self) -> str:
        """Name of the channel in the lake's records: lower-case letters, digits, - and _."""
        ...

    def send(self, alert: Alert) -> None:
        """Deliver the alert once.

        Raise `TransientError` when a later try may succeed and `PermanentError` when it
        cannot; their messages are logged and stored, so they hold no secret.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The outcome of one alert, by the names of the channels."""

    sent: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """Sent within the window, or being sent by another process right now."""
    failed: tuple[str, ...] = ()


class _Record(msgspec.Struct, frozen=True):
    state: str
    token: str
    alert: Alert
    first_at: datetime
    changed_at: datetime
    detail: str = ""


def send_alert(
    alert: Alert,
    channels: Sequence[AlertChannel],
    store: ObjectStore,
    *,
    clock: Callable[[], datetime],
    window: timedelta,
) -> DeliveryResult:
    """Send on every channel that did not send the same kind and key within `window`.

    Safe to repeat and to run in several processes at once. A channel that fails is
    logged, does not stop the others, and is tried again by the next call or by
    `resend_failed`.
    """
    outcomes = {
        channel.name: _deliver_once(alert, channel, store, clock=clock, window=window)
        for channel in channels
    }
    return DeliveryResult(*(_named(outcomes, outcome) for outcome in ("sent", "known", "failed")))


def resend_failed(
    channels: Sequence[AlertChannel],
    store: ObjectStore,
    *,
    clock: Callable[[], datetime],
    window: timedelta,
) -> DeliveryResult:
    """Send again what failed within the last day; delete records older than `KEEP`.

    For a tick of its own: an alert that is raised only once, such as a failed
    run, is repeated by nothing else.
    """
    by_name = {channel.name: channel for channel in channels}
    outcomes: dict[str, str] = {}
    for entry in store.list(FOLDER):
        found = store.get(entry.path)
        if found is None:
            continue
        record, now = _decode(entry.path, found[0]), clock()
        if now - record.changed_at > KEEP:
            store.delete([entry.path])
            continue
        channel = by_name.get(entry.path.rsplit("/", 1)[-1].removesuffix(".json"))
        if channel and _unfinished(record, now) and now - record.first_at < GIVE_UP_AFTER:
            outcome = _deliver_once(record.alert, channel, store, clock=clock, window=window)
            outcomes[f"{channel.name} {record.alert.kind} {record.alert.key}"] = outcome
    return DeliveryResult(*(_named(outcomes, outcome) for outcome in ("sent", "known", "failed")))


def _deliver_once(
    alert: Alert,
    channel: AlertChannel,
    store: ObjectStore,
    *,
    clock: Callable[[], datetime],
    window: timedelta,
) -> str:
    path = _path(alert, channel)
    try:
        record = _claim(store, path, alert, now=clock(), window=window)
    except PlatformError as problem:
        # Without a record it is not known whether this was sent: better twice than never.
        log.error("alert_not_recorded", kind=alert.kind, problem=str(problem))
        return _deliver(alert, channel)[0]
    if record is None:
        return "known"
    state, detail = _deliver(alert, channel)
    outcome_record = msgspec.structs.replace(record, state=state, changed_at=clock(), detail=detail)
    try:
        _record_outcome(store, path, outcome_record)
    except PlatformError as problem:
        log.warning(
            "alert_outcome_not_recorded",
            kind=alert.kind,
            channel=channel.name,
            problem=str(problem),
        )
    return state


def _claim(
    store: ObjectStore, path: str, alert: Alert, *, now: datetime, window: timedelta
) -> _Record | None:
    """Record that this process delivers; None when it was delivered or is being delivered."""
    token = uuid4().hex

    def change(found: bytes | None) -> tuple[bytes | None, _Record | None]:
        held = _decode(path, found) if found else None
        first_at = now
        if held:
            # On S3 a first copy of this claim may be there, its response lost on the way.
            if held.token == token:
                return None, held
            if held.state == "sent" and now - held.changed_at < window:
                return None, None
            if held.state == "sending" and not _unfinished(held, now):
                return None, None
            first_at = held.first_at if held.state != "sent" else now
        record = _Record("sending", token, alert, first_at, now)
        return msgspec.json.encode(record), record

    return update(store, path, change)


def _record_outcome(store: ObjectStore, path: str, outcome_record: _Record) -> None:
    """Record the outcome; raise `VersionConflictError` when another process took over."""

    def change(found: bytes | None) -> tuple[bytes | None, None]:
        if found is None or _decode(path, found).token != outcome_record.token:
            raise VersionConflictError(f"{path} was claimed by another process")
        return msgspec.json.encode(outcome_record), None

    update(store, path, change)


def _deliver(alert: Alert, channel: AlertChannel) -> tuple[str, str]:
    try:
        for attempt in stamina.retry_context(
            on=_delay_of, attempts=ATTEMPTS_MAX, timeout=None, wait_initial=0.2, wait_jitter=0.2
        ):
            with attempt:
                channel.send(alert)
    except PlatformError as problem:
        detail = str(problem)
    except Exception as error:  # a bug in one channel must not stop the others
        detail = type(error).__name__
    else:
        return "sent", ""
    log.error("alert_not_sent", kind=alert.kind, channel=channel.name, problem=detail)
    return "failed", detail


def _delay_of(error: Exception) -> bool | float:
    if not isinstance(error, TransientError):
        return False
    return True if error.delay_s is None else min(error.delay_s, DELAY_S_MAX)


def _unfinished(record: _Record, now: datetime) -> bool:
    """Whether the last try failed, or its sender must be dead."""
    died = record.state == "sending" and now - record.changed_at >= LEASE
    return died or record.state == "failed"


def _decode(path: str, data: bytes) -> _Record:
    try:
        return msgspec.json.decode(data, type=_Record)
    except msgspec.DecodeError as error:
        raise InvalidDataError(f"{path} is not the record of an alert: {error}") from None


def _path(alert: Alert, channel: AlertChannel) -> str:
    # The key may hold anything, a symbol or a run's name: only its digest becomes a path.
    digest = hashlib.sha256(f"{alert.kind}\0{alert.key}".encode()).hexdigest()[:32]
    return f"{FOLDER}/{digest}/{channel.name}.json"


def _named(outcomes: dict[str, str], outcome: str) -> tuple[str, ...]:
    return tuple(name for name, each in outcomes.items() if each == outcome)
