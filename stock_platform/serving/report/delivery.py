"""Mail the weekly report once: never twice, whatever crashes in between.

The state of a week's mail is one small object in the lake, changed only by
compare-and-swap:

    (none) -> sending -> sent
                      -> failed      surely not accepted; the next try may begin
                      -> sending     unknown: the sender died or got no response

The record becomes `sending` before the first byte of the message leaves, after
everything that can fail beforehand has succeeded. So a crash in the narrow window
between hand-over and record leaves `sending`, and that week is not mailed again by
itself: at most once, by choice, because a missing report is missed and one that comes
twice is not trusted. It raises `DeliveryUnknownError`; a person who has looked into the
mailbox runs `stocks report --reset-delivery` to have it sent again. The Message-ID is
made from the week and the recipients, so that even then most servers drop a repeat.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import getaddresses

import msgspec
import stamina

from stock_platform.errors import PermanentError, TransientError
from stock_platform.indicators.weekly import Week
from stock_platform.lake.object_store import ObjectStore, Version, VersionConflictError
from stock_platform.serving.report.build import WeeklyReport, chart_id
from stock_platform.serving.report.mailer import DeliveryUnknownError, Mailer


class MailRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a week's mail."""

    state: str
    message_id: str
    attempt: int
    changed_at: datetime
    refused: list[str] = []


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """The outcome of `deliver_report`. `sent_now` is false when the week had been mailed before."""

    record: MailRecord
    sent_now: bool


def record_path(week: Week) -> str:
    """Return the path of the record of a week."""
    return f"weekly_report/week={week.monday.isoformat()}/mail.json"


def deliver_report(
    report: WeeklyReport,
    mailer: Mailer,
    store: ObjectStore,
    *,
    sender: str,
    to: Sequence[str],
    clock: Callable[[], datetime],
    attempts_max: int = 5,
    retry_s: float = 10.0,
) -> ReportDelivery:
    """Mail a report unless its week has been mailed; safe to repeat and to run twice at once.

    What was surely not accepted is tried again, up to `attempts_max` times, then raised.
    Raises `DeliveryUnknownError` when an earlier or this try may have been accepted.
    """
    message = compose(report, sender=sender, to=to, at=clock())
    claim = _Claim(store, record_path(report.week), str(message["Message-ID"]), clock)
    if (record := claim.read()) and record.state == "sent":
        return ReportDelivery(record, sent_now=False)
    waits = {"wait_initial": retry_s, "wait_jitter": retry_s, "wait_max": 600.0}
    for attempt in stamina.retry_context(
        on=TransientError, attempts=attempts_max, timeout=None, **waits
    ):
        with attempt:
            claim.require_unsent()
            try:
                refused = mailer.deliver(message, before_send=claim.begin)
            except (TransientError, PermanentError):
                claim.fail()
                raise
            return ReportDelivery(claim.finish("sent", refused), sent_now=True)
    raise AssertionError("retry_context returns or raises")


def reset_delivery(store: ObjectStore, week: Week) -> None:
    """Delete the record of a week's mail that did not arrive, so that it is mailed again."""
    store.delete([record_path(week)])


class _Claim:
    """The record of a week, as one sender reads and writes it."""

    def __init__(
        self, store: ObjectStore, path: str, message_id: str, clock: Callable[[], datetime]
    ) -> None:
        self._store, self._path, self._message_id, self._clock = store, path, message_id, clock
        self._version: Version | None = None
        self._held: MailRecord | None = None
        self._mine = False

    def read(self) -> MailRecord | None:
        found = self._store.get(self._path)
        if found is None:
            self._held, self._version = None, None
        else:
            self._held, self._version = msgspec.json.decode(found[0], type=MailRecord), found[1]
        return self._held

    def require_unsent(self) -> None:
        """Raise `DeliveryUnknownError` unless nothing was sent or the last try surely failed."""
        held = self.read()
        if held is not None and held.state != "failed":
            raise DeliveryUnknownError(
                f"the mail of this week is {held.state!r} since {held.changed_at:%Y-%m-%d %H:%M} "
                f"UTC (attempt {held.attempt}): it may have arrived and is not sent again"
            )

    def begin(self) -> None:
        """Record `sending`; raise `DeliveryUnknownError` when another sender was faster."""
        attempt = self._held.attempt + 1 if self._held else 1
        try:
            self._write("sending", attempt, [])
        except VersionConflictError:
            raise DeliveryUnknownError(
                "another sender has just begun to send the mail of this week"
            ) from None
        self._mine = True

    def fail(self) -> None:
        """Record `failed`, if this sender recorded `sending`."""
        if self._mine:
            self.finish("failed", [])

    def finish(self, state: str, refused: list[str]) -> MailRecord:
        self._mine = False
        return self._write(state, self._held.attempt if self._held else 1, refused)

    def _write(self, state: str, attempt: int, refused: list[str]) -> MailRecord:
        record = MailRecord(state, self._message_id, attempt, self._clock(), refused)
        self._version = self._store.put_if_match(
            self._path, msgspec.json.encode(record), self._version
        )
        self._held = record
        return record


def compose(report: WeeklyReport, *, sender: str, to: Sequence[str], at: datetime) -> EmailMessage:
    """Return the message: text and HTML, charts inside the HTML and attached as files.

    The same report for the same people has the same Message-ID.
    """
    if not to:
        raise PermanentError("the report has no recipients: set STOCKS_REPORT_TO")
    [(_, address)] = getaddresses([sender])
    domain = address.rpartition("@")[2] or "localhost"
    digest = hashlib.sha256("\n".join([str(report.week.monday), *sorted(to)]).encode())
    name = f"weekly-report-{report.week.monday}-{digest.hexdigest()[:16]}"
    rendered = report.rendered
    message = EmailMessage()
    message["Subject"] = rendered.subject
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = at
    message["Message-ID"] = f"<{name}@{domain}>"
    # Out-of-office programs do not reply to such a message.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    page = list(message.iter_parts())[1]
    for n, (symbol, png) in enumerate(report.charts.items()):
        name_of_file = f"{n + 1:02d}-{_file_name(symbol)}.png"
        page.add_related(
            png,
            "image",
            "png",
            cid=f"<{chart_id(report, symbol)}>",
            filename=name_of_file,
            disposition="inline",
        )
    for n, (symbol, png) in enumerate(report.charts.items()):
        name_of_file = f"{n + 1:02d}-{_file_name(symbol)}.png"
        message.add_attachment(png, "image", "png", filename=name_of_file)
    return message


def _file_name(symbol: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in symbol)
