"""The weekly report leaves once: over crashes, doubts, repeats and two senders at a time."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.serving.report.delivery import (
    ReportDelivery,
    compose,
    deliver_report,
    reset_delivery,
)
from stock_platform.serving.report.mailer import DeliveryUnknownError, Mailer, SmtpMailer
from stock_platform.settings import LakeSettings
from stock_platform_tests.serving.mail_servers import smtp_server
from stock_platform_tests.serving.test_mail import SENDER, plain
from stock_platform_tests.serving.weekly_examples import WEEK, example_report

NOW = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
REPORT = example_report(charts_max=2)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(LakeSettings(lake=str(tmp_path / "lake")))


def send(store: ObjectStore, mailer: Mailer, attempts: int = 3) -> ReportDelivery:
    return deliver_report(
        REPORT,
        mailer,
        store,
        sender=SENDER,
        to=["reader@example.com"],
        clock=lambda: NOW,
        attempts_max=attempts,
        retry_s=0.01,
    )


class Killed(BaseException):
    """Stands for `kill -9`: nothing that handles errors sees it."""


class Dying:
    """A mailer whose process is killed before or after the hand-over."""

    def __init__(self, *, before: bool) -> None:
        self._before = before

    def deliver(self, message: EmailMessage, *, before_send: Callable[[], None]) -> list[str]:
        if self._before:
            raise Killed
        before_send()
        raise Killed


def test_a_week_is_mailed_once_however_often_it_is_asked_for(store: ObjectStore) -> None:
    with smtp_server() as server:
        first = send(store, SmtpMailer(plain(server.port)))
        second = send(store, SmtpMailer(plain(server.port)))

    assert (first.sent_now, second.sent_now) == (True, False)
    assert len(server.received) == 1


def test_a_server_busy_twice_gets_the_mail_on_the_third_try(store: ObjectStore) -> None:
    with smtp_server() as server:
        server.data_answers = ["451 later", "421 later"]
        delivery = send(store, SmtpMailer(plain(server.port)))

    assert delivery.record.attempt == 3
    assert len(server.received) == 1


def test_a_refused_mail_is_not_tried_again_by_itself(store: ObjectStore) -> None:
    with smtp_server() as server:
        server.data_answers = ["554 no", "554 no"]
        with pytest.raises(PermanentError):
            send(store, SmtpMailer(plain(server.port)))

    assert server.data_answers == ["554 no"]


def test_a_refused_mail_can_be_sent_by_a_later_run(store: ObjectStore) -> None:
    with smtp_server() as server:
        server.data_answers = ["554 no"]
        with pytest.raises(PermanentError):
            send(store, SmtpMailer(plain(server.port)))
        delivery = send(store, SmtpMailer(plain(server.port)))

    assert delivery.sent_now
    assert len(server.received) == 1


def test_a_server_that_stays_busy_fails_after_the_allowed_tries(store: ObjectStore) -> None:
    with smtp_server() as server:
        server.data_answers = ["451 later"] * 5
        with pytest.raises(TransientError):
            send(store, SmtpMailer(plain(server.port)), attempts=3)

    assert len(server.data_answers) == 2


def test_a_lost_answer_does_not_lead_to_a_second_mail(store: ObjectStore) -> None:
    with smtp_server() as server:
        server.hang_up_after_data = True
        with pytest.raises(DeliveryUnknownError):
            send(store, SmtpMailer(plain(server.port)))
        server.hang_up_after_data = False
        with pytest.raises(DeliveryUnknownError, match="may have arrived"):
            send(store, SmtpMailer(plain(server.port)))

    assert len(server.received) == 1


def test_a_crash_before_the_hand_over_loses_nothing(store: ObjectStore) -> None:
    with pytest.raises(Killed):
        send(store, Dying(before=True))

    with smtp_server() as server:
        assert send(store, SmtpMailer(plain(server.port))).sent_now


def test_a_crash_during_the_hand_over_is_doubted_until_a_person_decides(store: ObjectStore) -> None:
    with pytest.raises(Killed):
        send(store, Dying(before=False))

    with smtp_server() as server:
        with pytest.raises(DeliveryUnknownError):
            send(store, SmtpMailer(plain(server.port)))
        reset_delivery(store, WEEK)
        send(store, SmtpMailer(plain(server.port)))
    assert len(server.received) == 1


def test_of_two_senders_at_once_one_sends(store: ObjectStore) -> None:
    with smtp_server() as server:
        smtp = SmtpMailer(plain(server.port))

        class Overtaken:
            """Finds everything ready, and is overtaken before its last call."""

            def deliver(
                self, message: EmailMessage, *, before_send: Callable[[], None]
            ) -> list[str]:
                send(store, smtp)
                return smtp.deliver(message, before_send=before_send)

        with pytest.raises(DeliveryUnknownError, match="another sender"):
            send(store, Overtaken())

    assert len(server.received) == 1


def test_the_mail_has_text_html_inline_charts_and_attachments(store: ObjectStore) -> None:
    with smtp_server() as server:
        send(store, SmtpMailer(plain(server.port)))

    [mail] = server.received
    html = mail.get_body(("html",))
    assert html is not None
    shown = [part["Content-ID"] for part in mail.walk() if part["Content-ID"]]
    assert all(f"cid:{address.strip('<>')}" in html.get_content() for address in shown)
    assert [part.get_content_disposition() for part in mail.iter_attachments()] == [
        "attachment",
        "attachment",
    ]
    assert mail.get_body(("plain",)) is not None
    assert mail["Subject"] == "Weekly Market Report - Best: NVDA: 8.5% | Worst: QUBT: -3.2%"


def test_the_same_week_and_readers_have_the_same_message_id() -> None:
    first = compose(REPORT, sender=SENDER, to=["a@example.com", "b@example.com"], at=NOW)
    again = compose(REPORT, sender=SENDER, to=["b@example.com", "a@example.com"], at=NOW)
    others = compose(REPORT, sender=SENDER, to=["c@example.com"], at=NOW)

    assert first["Message-ID"] == again["Message-ID"] != others["Message-ID"]


def test_a_report_for_nobody_names_the_setting() -> None:
    with pytest.raises(PermanentError, match="STOCKS_REPORT_TO"):
        compose(REPORT, sender=SENDER, to=[], at=NOW)
