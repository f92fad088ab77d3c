"""Hand one mail to an SMTP server or to SES, with a definite outcome.

A mail is accepted, surely not accepted (`TransientError` or `PermanentError`), or its
fate is unknown, when the connection broke after the last byte and before the response
(`DeliveryUnknownError`). Only the second may be tried again; that is why the steps
before the hand-over are kept apart from the hand-over itself.
"""

import smtplib
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from email import policy
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.settings import MailSettings


class DeliveryUnknownError(PlatformError):
    """The mail may have been accepted and may not: sending it again could send it twice."""


class Mailer(Protocol):
    """Delivers one message to everybody in its To header."""

    def deliver(self, message: EmailMessage, *, before_send: Callable[[], None]) -> list[str]:
        """Hand the message over; return the addresses that were refused while others were not.

        `before_send` runs when everything that can fail beforehand has succeeded, right
        before the message itself is sent; when it raises, nothing is sent. Raises
        `TransientError` or `PermanentError` when the message was surely not accepted,
        `DeliveryUnknownError` when it may have been.
        """
        ...

    def check_connection(self) -> None:
        """Connect and log in without sending anything; raises as `deliver` does before it."""
        ...


def open_mailer(settings: MailSettings) -> Mailer:
    """Return the mailer of the settings; raise `PermanentError` when none is configured."""
    if settings.mail_transport == "none":
        raise PermanentError("no mail is sent: set STOCKS_MAIL_TRANSPORT to smtp or ses")
    if not settings.mail_from:
        raise PermanentError("mail needs a sender: set STOCKS_MAIL_FROM")
    if settings.mail_transport == "ses":
        return SesMailer(settings)
    if settings.smtp_user and not settings.smtp_starttls:
        raise PermanentError(
            "a password is not sent in the clear: STOCKS_SMTP_STARTTLS must be true"
        )
    return SmtpMailer(settings)


def recipients(message: EmailMessage) -> list[str]:
    """Return the plain addresses a message is for."""
    return [address for _, address in getaddresses(message.get_all("To", [])) if address]


class SmtpMailer:
    """An SMTP server; STARTTLS with a verified certificate, login if there is a user."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def deliver(self, message: EmailMessage, *, before_send: Callable[[], None]) -> list[str]:
        """See `Mailer`; one connection, one message, everybody at once."""
        with _before_acceptance(), self._connected() as server:
            refused = self._addressed(server, message)
            before_send()
            _hand_over(server, message.as_bytes(policy=policy.SMTP))
            return refused

    def check_connection(self) -> None:
        """See `Mailer`."""
        with _before_acceptance(), self._connected() as server:
            _expect(server.noop(), "the connection")

    @contextmanager
    def _connected(self) -> Generator[smtplib.SMTP]:
        chosen = self._settings
        server = smtplib.SMTP(chosen.smtp_host, chosen.smtp_port, timeout=chosen.smtp_timeout_s)
        try:
            if chosen.smtp_starttls:
                ca = str(chosen.smtp_ca_file) if chosen.smtp_ca_file else None
                server.starttls(context=ssl.create_default_context(cafile=ca))
            if chosen.smtp_user:
                server.login(chosen.smtp_user, chosen.smtp_password.get_secret_value())
            yield server
            # The mail's fate is known by now; a connection that ends badly changes nothing.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        finally:
            server.close()

    def _addressed(self, server: smtplib.SMTP, message: EmailMessage) -> list[str]:
        server.ehlo_or_helo_if_needed()
        [(_, sender)] = getaddresses([str(message["From"])])
        _expect(server.mail(sender), "the sender")
        responses = {address: server.rcpt(address) for address in recipients(message)}
        refused = [address for address, response in responses.items() if response[0] >= 400]
        if len(refused) == len(responses):
            _expect(min(responses.values(), default=(550, b"no recipient")), "every recipient")
        return refused


def _hand_over(server: smtplib.SMTP, message: bytes) -> None:
    try:
        response = server.data(message)
    except smtplib.SMTPDataError as error:
        # The server refused DATA: not a byte of the message was sent.
        raise _error_of(error.smtp_code, "the message") from None
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryUnknownError(
            f"the mail server did not respond to the message: {type(error).__name__}"
        ) from None
    _expect(response, "the message")


def _expect(response: tuple[int, bytes], what: str) -> None:
    if response[0] >= 400:
        raise _error_of(response[0], what)


def _error_of(code: int, what: str) -> PlatformError:
    # The server's text may quote addresses and content; the code is enough.
    kind = TransientError if 400 <= code < 500 else PermanentError
    return kind(f"the mail server refused {what} with code {code}")


@contextmanager
def _before_acceptance() -> Generator[None]:
    """Sort what goes wrong before the message is handed over; nothing was accepted then."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise _error_of(error.smtp_code, type(error).__name__) from None
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentError(f"the mail server lacks what the settings require: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise PermanentError(f"the mail server's certificate: {error.verify_message}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"the mail server cannot be reached: {type(error).__name__}") from None


class SesMailer:
    """Amazon SES; one call per message."""

    def __init__(self, settings: MailSettings) -> None:
        self._client: Any = boto3.client(
            "sesv2",
            region_name=settings.ses_region,
            endpoint_url=settings.ses_endpoint or None,
            aws_access_key_id=settings.ses_access_key.get_secret_value() or None,
            aws_secret_access_key=settings.ses_secret_key.get_secret_value() or None,
            # SES has no idempotency: a retry inside the client after a lost response
            # would send the mail a second time.
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, connect_timeout=10),
        )

    def deliver(self, message: EmailMessage, *, before_send: Callable[[], None]) -> list[str]:
        """See `Mailer`; SES accepts or refuses all recipients together."""
        before_send()
        try:
            self._client.send_email(
                FromEmailAddress=str(message["From"]),
                Destination={"ToAddresses": recipients(message)},
                Content={"Raw": {"Data": message.as_bytes(policy=policy.SMTP)}},
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500:
                raise DeliveryUnknownError(f"SES failed with {status} {code}") from None
            kind = TransientError if code in _SES_LATER else PermanentError
            raise kind(f"SES refused the message: {code}") from None
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise TransientError(f"SES cannot be reached: {type(error).__name__}") from None
        except BotoCoreError as error:
            if type(error).__name__ in _SES_UNSENT:
                raise PermanentError(f"SES cannot be called: {type(error).__name__}") from None
            raise DeliveryUnknownError(f"SES did not respond: {type(error).__name__}") from None
        return []

    def check_connection(self) -> None:
        """See `Mailer`."""
        try:
            self._client.get_account()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise PermanentError(f"SES refused the connection: {code}") from None
        except BotoCoreError as error:
            raise TransientError(f"SES cannot be reached: {type(error).__name__}") from None


_SES_LATER = frozenset(
    {"TooManyRequestsException", "Throttling", "ThrottlingException", "LimitExceededException"}
)
_SES_UNSENT = frozenset({"NoCredentialsError", "PartialCredentialsError", "NoRegionError"})
