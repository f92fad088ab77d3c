"""Mail the weekly report once: never twice, whatever crashes in between.

What a week's mail has come to is one small object in the lake, changed only by
compare-and-swap:

    (none) -> sending -> sent
                      -> failed      surely not accepted; the next try may begin
                      -> sending     nobody knows: the sender died or heard no answer

The record says `sending` before the first byte of the message leaves, after
everything that can fail beforehand has succeeded. So a crash in the narrow window
between hand-over and record leaves `sending`, and that week is not mailed again by
itself: at most once, by choice, because a report that may be missing is asked for
and one that comes twice is not trusted. It raises an alarm (`Doubtful`), and a person
who looked into the mailbox says `forget` to have it sent again. The Message-ID is
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
from stock_platform.serving.report.build import WeeklyReport, render
from stock_platform.serving.report.mailer import DeliveryUnknownError, Mailer


class MailRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a week's mail."""

    state: str
    message_id: str
    attempt: int
    changed_at: datetime
    refused: list[str] = []


@dataclass(frozen=True, slots=True)
class Delivery:
    """What `deliver_report` did. `sent_now` is false when the week had been mailed before."""

    record: MailRecord
    sent_now: bool


def record_path(week: Week) -> str:
    """Name the record of a week."""
    return f"weekly_report/week={week.monday.isoformat()}/mail.json"


def deliver_report(
    report: WeeklyReport,
    courier: Mailer,
    store: ObjectStore,
    *,
    sender: str,
    to: Sequence[str],
    clock: Callable[[], datetime],
    attempts_max: int = 5,
    retry_s: float = 10.0,
) -> Delivery:
    """Mail a report unless its week has been mailed; safe to repeat and to run twice at once.

    What was surely not accepted is tried again, up to `attempts_max` times, then raised.
    Raises `Doubtful` when an earlier or this try may have been accepted.
    """
    message = compose(report, sender=sender, to=to, at=clock())
    claim = _Claim(store, record_path(report.week), str(message["Message-ID"]), clock)
    if (record := claim.read()) and record.state == "sent":
        return Delivery(record, sent_now=False)
    waits = {"wait_initial": retry_s, "wait_jitter": retry_s, "wait_max": 600.0}
    for attempt in stamina.retry_context(
        on=TransientError, attempts=attempts_max, timeout=None, **waits
    ):
        with attempt:
            claim.require_free()
            try:
                refused = courier.deliver(message, last_call=claim.take)
            except (TransientError, PermanentError):
                claim.give_back()
                raise
            return Delivery(claim.settle("sent", refused), sent_now=True)
    raise AssertionError("stamina either returns or raises")


def reset_delivery(store: ObjectStore, week: Week) -> None:
    """Let a week be mailed again: for a person who knows that its mail did not arrive."""
    store.delete([record_path(week)])


class _Claim:
    """One sender's hold on the record of a week."""

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

    def require_free(self) -> None:
        """Raise `Doubtful` unless nothing was sent or the last try surely failed."""
        held = self.read()
        if held is not None and held.state != "failed":
            raise DeliveryUnknownError(
                f"the mail of this week is {held.state!r} since {held.changed_at:%Y-%m-%d %H:%M} "
                f"UTC (attempt {held.attempt}): it may have arrived and is not sent again"
            )

    def take(self) -> None:
        """Say `sending`; raise `Doubtful` when another sender said it first."""
        attempt = self._held.attempt + 1 if self._held else 1
        try:
            self._write("sending", attempt, [])
        except VersionConflictError:
            raise DeliveryUnknownError(
                "another sender has just taken the mail of this week"
            ) from None
        self._mine = True

    def give_back(self) -> None:
        """Say `failed`, if it was this sender who said `sending`."""
        if self._mine:
            self.settle("failed", [])

    def settle(self, state: str, refused: list[str]) -> MailRecord:
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
    """Make the message: text and HTML, charts inside the HTML and attached as files.

    The same report for the same people has the same Message-ID.
    """
    if not to:
        raise PermanentError("the report has no recipients: set STOCKS_REPORT_TO")
    [(_, address)] = getaddresses([sender])
    domain = address.rpartition("@")[2] or "localhost"
    digest = hashlib.sha256("\n".join([str(report.week.monday), *sorted(to)]).encode())
    name = f"weekly-report-{report.week.monday}-{digest.hexdigest()[:16]}"
    ids = {symbol: f"chart-{n}-{name}@{domain}" for n, symbol in enumerate(report.charts)}
    rendered = render(report, image=lambda symbol: f"cid:{ids[symbol]}")
    message = EmailMessage()
    message["Subject"] = rendered.subject
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = at
    message["Message-ID"] = f"<{name}@{domain}>"
    # Tells out-of-office answerers to stay silent.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    page = list(message.iter_parts())[1]
    for n, (symbol, png) in enumerate(report.charts.items()):
        name_of_file = f"{n + 1:02d}-{_file_name(symbol)}.png"
        page.add_related(
            png, "image", "png", cid=f"<{ids[symbol]}>", filename=name_of_file, disposition="inline"
        )
    for n, (symbol, png) in enumerate(report.charts.items()):
        name_of_file = f"{n + 1:02d}-{_file_name(symbol)}.png"
        message.add_attachment(png, "image", "png", filename=name_of_file)
    return message


def _file_name(symbol: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in symbol)
