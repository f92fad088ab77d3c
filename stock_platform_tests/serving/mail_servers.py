"""Real mail servers on loopback: SMTP with scripted answers, STARTTLS and login; SES by moto."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "stocks", "correct horse"


@dataclass
class Mailbox:
    """What a server received, and what it shall answer next."""

    host: str = "127.0.0.1"
    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    data_answers: list[str] = field(default_factory=list)
    recipient_answers: dict[str, str] = field(default_factory=dict)
    tls: list[bool] = field(default_factory=list)
    hang_up_after_data: bool = False

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipient_answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.data_answers.pop(0) if self.data_answers else "250 OK"
        if answer.startswith("250"):
            content = message_from_bytes(envelope.content or b"", policy=policy.default)
            self.received.append(content)
            self.envelopes.append(envelope)
            self.tls.append(session.ssl is not None)
        if self.hang_up_after_data and server.transport:
            server.transport.abort()
        return answer


class _AnyPort(Controller):
    """Takes a free port; aiosmtpd itself would knock at port 0."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None) -> Generator[Mailbox]:
    """Run an SMTP server; with `tls` it insists on STARTTLS and on a login."""
    mailbox = Mailbox()

    def knows(
        server: object, session: object, envelope: object, how: str, who: object
    ) -> AuthResult:
        fits = who == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=fits, handled=False)

    secured = (
        {
            "tls_context": tls,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": knows,
        }
        if tls
        else {}
    )
    controller = _AnyPort(mailbox, hostname=mailbox.host, port=0, **secured)
    controller.start()
    try:
        mailbox.port = controller.port
        yield mailbox
    finally:
        controller.stop()


def private_ca(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server context for 127.0.0.1 and the PEM of the CA that vouches for it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path
