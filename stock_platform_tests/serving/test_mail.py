"""Couriers against real servers: what was accepted, what was not, and what nobody knows."""

import socket
from email.message import EmailMessage
from pathlib import Path

import pytest
from moto.backends import get_backend

from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.report.mailer import (
    DeliveryUnknownError,
    SesMailer,
    SmtpMailer,
    open_mailer,
)
from stock_platform.settings import MailSettings
from stock_platform_tests.serving.faulty import Faults, answer_lost, error
from stock_platform_tests.serving.mail_servers import PASSWORD, USER, private_ca, smtp_server

SENDER = "Stocks <stocks@example.com>"


def mail(*to: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"] = "Weekly", SENDER
    message["To"] = ", ".join(to or ("reader@example.com",))
    message.set_content("five sessions\n.a line that begins with a dot\n")
    return message


def plain(port: int) -> MailSettings:
    return MailSettings(
        mail_transport="smtp",
        mail_from=SENDER,
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_starttls=False,
        smtp_timeout_s=5,
    )


def secured(port: int, ca: Path | None, password: str = PASSWORD) -> MailSettings:
    return MailSettings(
        mail_transport="smtp",
        mail_from=SENDER,
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_ca_file=ca,
        smtp_user=USER,
        smtp_password=password,
        smtp_timeout_s=5,
    )


def ses(endpoint: str) -> MailSettings:
    return MailSettings(
        mail_transport="ses",
        mail_from=SENDER,
        ses_endpoint=endpoint,
        ses_access_key="test",
        ses_secret_key="test",
    )


def nothing() -> None:
    """The last call of a test that does not care."""


def test_a_mail_arrives_as_it_was_written() -> None:
    with smtp_server() as server:
        SmtpMailer(plain(server.port)).deliver(mail(), before_send=nothing)

    [received] = server.received
    assert received.get_content().replace("\r\n", "\n") == mail().get_content()


def test_a_server_that_insists_on_starttls_and_login_gets_both(tmp_path: Path) -> None:
    context, ca = private_ca(tmp_path)
    with smtp_server(context) as server:
        SmtpMailer(secured(server.port, ca)).deliver(mail(), before_send=nothing)

    assert server.tls == [True]


def test_a_certificate_nobody_vouches_for_is_permanent(tmp_path: Path) -> None:
    context, _ = private_ca(tmp_path)
    with smtp_server(context) as server, pytest.raises(PermanentError, match="certificate"):
        SmtpMailer(secured(server.port, None)).deliver(mail(), before_send=nothing)

    assert server.received == []


def test_a_wrong_password_is_permanent_and_not_in_the_message(tmp_path: Path) -> None:
    context, ca = private_ca(tmp_path)
    with smtp_server(context) as server, pytest.raises(PermanentError) as caught:
        SmtpMailer(secured(server.port, ca, "wr0ng")).deliver(mail(), before_send=nothing)

    assert "wr0ng" not in str(caught.value)


def test_a_password_is_not_sent_in_the_clear() -> None:
    settings = plain(25).model_copy(update={"smtp_user": USER})

    with pytest.raises(PermanentError, match="STARTTLS"):
        open_mailer(settings)


def test_a_server_without_starttls_is_permanent_when_it_is_asked_for() -> None:
    with smtp_server() as server, pytest.raises(PermanentError, match="STARTTLS"):
        SmtpMailer(secured(server.port, None)).deliver(mail(), before_send=nothing)


def test_a_4xx_answer_is_transient() -> None:
    with smtp_server() as server:
        server.data_answers = ["451 try later"]
        with pytest.raises(TransientError, match="451"):
            SmtpMailer(plain(server.port)).deliver(mail(), before_send=nothing)


def test_a_5xx_answer_is_permanent() -> None:
    with smtp_server() as server:
        server.data_answers = ["554 no"]
        with pytest.raises(PermanentError, match="554"):
            SmtpMailer(plain(server.port)).deliver(mail(), before_send=nothing)


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others() -> None:
    with smtp_server() as server:
        server.recipient_answers = {"gone@example.com": "550 no such user"}
        refused = SmtpMailer(plain(server.port)).deliver(
            mail("reader@example.com", "gone@example.com"), before_send=nothing
        )

    assert refused == ["gone@example.com"]
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["reader@example.com"]]


def test_no_recipient_left_is_a_refusal_before_the_before_send() -> None:
    called: list[bool] = []
    with smtp_server() as server:
        server.recipient_answers = {"reader@example.com": "550 no such user"}
        with pytest.raises(PermanentError, match="every recipient"):
            SmtpMailer(plain(server.port)).deliver(mail(), before_send=lambda: called.append(True))

    assert called == []


def test_a_connection_that_breaks_after_the_message_leaves_doubt() -> None:
    with smtp_server() as server:
        server.hang_up_after_data = True
        with pytest.raises(DeliveryUnknownError):
            SmtpMailer(plain(server.port)).deliver(mail(), before_send=nothing)

    assert len(server.received) == 1


def test_a_server_that_is_not_there_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(TransientError, match="cannot be reached"):
        SmtpMailer(plain(port)).deliver(mail(), before_send=nothing)


def test_ses_sends_the_message_as_it_is(aws_server: str) -> None:
    backend = get_backend("ses")["123456789012"]["us-east-1"]
    backend.verify_email_identity("stocks@example.com")
    before = len(backend.sent_messages)

    SesMailer(ses(aws_server)).deliver(mail(), before_send=nothing)

    sent = backend.sent_messages[before:]
    # moto counts the To header and the destination as two.
    assert [set(message.destinations) for message in sent] == [{"reader@example.com"}]
    assert "a line that begins with a dot" in sent[0].raw_data


def test_a_throttled_ses_is_transient(faults: Faults) -> None:
    faults.plan("", error("TooManyRequestsException", 429))

    with pytest.raises(TransientError):
        SesMailer(ses(faults.url)).deliver(mail(), before_send=nothing)


def test_a_sender_ses_does_not_know_is_permanent(faults: Faults) -> None:
    faults.plan("", error("MessageRejected"))

    with pytest.raises(PermanentError, match="MessageRejected"):
        SesMailer(ses(faults.url)).deliver(mail(), before_send=nothing)


def test_a_lost_answer_of_ses_leaves_doubt_and_is_not_repeated(faults: Faults) -> None:
    backend = get_backend("ses")["123456789012"]["us-east-1"]
    backend.verify_email_identity("stocks@example.com")
    before = len(backend.sent_messages)
    faults.plan("", answer_lost)

    with pytest.raises(DeliveryUnknownError):
        SesMailer(ses(faults.url)).deliver(mail(), before_send=nothing)

    assert len(backend.sent_messages) - before == len(faults.seen) == 1


def test_mail_without_a_transport_says_which_setting_is_missing() -> None:
    with pytest.raises(PermanentError, match="STOCKS_MAIL_TRANSPORT"):
        open_mailer(MailSettings())
