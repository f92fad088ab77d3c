"""The channels of this package: e-mail, an SNS topic, a webhook that takes Slack's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import httpx2

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.serving.alerts.dispatch import Alert, AlertChannel
from stock_platform.serving.aws import open_client, translated
from stock_platform.serving.report.mailer import Mailer, open_mailer
from stock_platform.settings import AlertSettings, MailSettings, ServingSettings

TEXT_LENGTH_MAX = 3_000
"""Slack refuses more in one section; more is not read in an alert."""
SUBJECT_LENGTH_MAX = 100
"""SNS refuses a longer subject, and any that is not printable ASCII."""


def open_builtin(
    alerts: AlertSettings, aws: ServingSettings, mail: MailSettings
) -> list[AlertChannel]:
    """Open the configured channels; raise `PermanentError` when one is half configured."""
    channels: list[AlertChannel] = []
    if alerts.alert_mail_to:
        channels.append(
            MailChannel(mailer=open_mailer(mail), sender=mail.mail_from, to=alerts.alert_mail_to)
        )
    if alerts.alert_sns_topic:
        channels.append(SnsChannel(open_client(aws, "sns"), alerts.alert_sns_topic))
    if url := alerts.alert_webhook.get_secret_value():
        channels.append(WebhookChannel(url, alerts.alert_timeout_s))
    return channels


@dataclass(frozen=True, slots=True, kw_only=True)
class MailChannel:
    """One plain-text mail to all recipients."""

    mailer: Mailer
    sender: str
    to: Sequence[str]
    name: str = "mail"

    def send(self, alert: Alert) -> None:
        message = EmailMessage()
        message["Subject"] = _subject(alert)
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message.set_content(_plain(alert))
        self.mailer.deliver(message, before_send=lambda: None)


@dataclass(frozen=True, slots=True)
class SnsChannel:
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
class WebhookChannel:
    """One POST of `{"text": ...}`. The URL is a secret: Slack's holds the key in its path."""

    url: str
    timeout_s: float
    name: str = "webhook"

    def __repr__(self) -> str:
        return "WebhookChannel(url='**********')"

    def send(self, alert: Alert) -> None:
        failure: PlatformError | None = None
        try:
            response = httpx2.post(self.url, json={"text": _slack(alert)}, timeout=self.timeout_s)
            failure = _error_of(response)
        except httpx2.TransportError as error:
            failure = TransientError(f"the webhook cannot be reached: {type(error).__name__}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            failure = PermanentError(f"the webhook cannot be called: {type(error).__name__}")
        # Raised out here: httpx2's exceptions hold the request and the key in its URL.
        if failure:
            raise failure


def _error_of(response: httpx2.Response) -> PlatformError | None:
    status = response.status_code
    if 200 <= status < 300:
        return None
    message = f"the webhook responded with HTTP {status}"
    if status == 429 or status >= 500:
        named = response.headers.get("Retry-After", "")
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
