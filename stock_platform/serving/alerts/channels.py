"""Where alerts go: e-mail, an SNS topic, a webhook that takes Slack's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import httpx2

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.serving.alerts.dispatch import Alert, Target
from stock_platform.serving.aws import open_client, translated
from stock_platform.serving.report.mailer import Mailer, open_mailer
from stock_platform.settings import AlertSettings, MailSettings, ServingSettings

TEXT_LENGTH_MAX = 3_000
"""Slack refuses more in one section; nobody reads more in an alert."""
SUBJECT_LENGTH_MAX = 100
"""SNS refuses a longer subject, and any that is not printable ASCII."""


def open_targets(alerts: AlertSettings, aws: ServingSettings, mail: MailSettings) -> list[Target]:
    """Open the configured targets; `Permanent` when one is configured by half."""
    targets: list[Target] = []
    if alerts.alert_mail_to:
        targets.append(MailTarget(open_mailer(mail), mail.mail_from, alerts.alert_mail_to))
    if alerts.alert_sns_topic:
        targets.append(SnsTarget(open_client(aws, "sns"), alerts.alert_sns_topic))
    if url := alerts.alert_webhook.get_secret_value():
        targets.append(WebhookTarget(url, alerts.alert_timeout_s))
    return targets


@dataclass(frozen=True, slots=True)
class MailTarget:
    """One plain mail to everybody."""

    courier: Mailer
    sender: str
    to: Sequence[str]
    name: str = "mail"

    def send(self, alert: Alert) -> None:
        message = EmailMessage()
        message["Subject"] = _subject(alert)
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message.set_content(_plain(alert))
        self.courier.deliver(message, last_call=lambda: None)


@dataclass(frozen=True, slots=True)
class SnsTarget:
    """One notification to a topic, with kind and severity as attributes to filter on."""

    client: Any
    topic: str
    name: str = "sns"

    def send(self, alert: Alert) -> None:
        attributes = {"kind": alert.kind, "severity": alert.severity}
        with translated("SNS: publish an alert"):
            self.client.publish(
                TopicArn=self.topic,
                Subject=_ascii(_subject(alert)),
                Message=_plain(alert),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value.value}
                    for name, value in attributes.items()
                },
            )


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """One POST of `{"text": ...}`. The URL is a secret: Slack's holds the key in its path."""

    url: str
    timeout_s: float
    name: str = "webhook"

    def __repr__(self) -> str:
        return "WebhookTarget(url='**********')"

    def send(self, alert: Alert) -> None:
        problem: PlatformError | None = None
        try:
            answer = httpx2.post(self.url, json={"text": _slack(alert)}, timeout=self.timeout_s)
            problem = _problem_of(answer)
        except httpx2.TransportError as error:
            problem = TransientError(f"the webhook is not reached: {type(error).__name__}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = PermanentError(f"the webhook cannot be asked: {type(error).__name__}")
        # Raised out here: httpx2's exceptions hold the request and the key in its URL.
        if problem:
            raise problem


def _problem_of(answer: httpx2.Response) -> PlatformError | None:
    status = answer.status_code
    if 200 <= status < 300:
        return None
    message = f"the webhook answered HTTP {status}"
    if status == 429 or status >= 500:
        named = answer.headers.get("Retry-After", "")
        return TransientError(message, delay_s=float(named) if named.isdecimal() else None)
    return PermanentError(message)


def _subject(alert: Alert) -> str:
    line = " ".join(f"[{alert.severity.value}] {alert.title}".split())
    return line[:SUBJECT_LENGTH_MAX]


def _ascii(text: str) -> str:
    plain = text.encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in plain)


def _plain(alert: Alert) -> str:
    parts = [alert.title, alert.text[:TEXT_LENGTH_MAX], alert.link]
    return "\n\n".join(part for part in parts if part) + "\n"


def _slack(alert: Alert) -> str:
    link = f"<{_escaped(alert.link)}|open in Dagster>" if alert.link else ""
    title = f"*{_escaped(' '.join(alert.title.split()))}* ({alert.severity.value})"
    parts = [title, _escaped(alert.text[:TEXT_LENGTH_MAX]), link]
    return "\n".join(part for part in parts if part)


def _escaped(text: str) -> str:
    # Slack reads <!channel> and <url|text> as commands unless these three are entities.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
