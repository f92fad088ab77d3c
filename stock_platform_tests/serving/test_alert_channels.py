"""Alerts reach a real mail server, SNS and a webhook, and their secrets reach nobody."""

import json
from collections.abc import Generator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.serving.alerts import messages
from stock_platform.serving.alerts.channels import open_builtin
from stock_platform.serving.alerts.dispatch import Alert, AlertChannel, AlertKind, send_alert
from stock_platform.serving.aws import open_client
from stock_platform.settings import AlertSettings, MailSettings, ServingSettings
from stock_platform_tests.serving.hooks import Hook, webhook
from stock_platform_tests.serving.mail_servers import smtp_server

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
ALERT = messages.failed_run(
    "heal", "4f0c", "HTTP 403 <!channel> & more", dagster_url="http://127.0.0.1:3000/"
)


@pytest.fixture
def hook() -> Generator[Hook]:
    with webhook() as running:
        yield running


def webhook_channel(hook: Hook) -> AlertChannel:
    return only_channel(AlertSettings(alert_webhook=hook.url))


def only_channel(alerts: AlertSettings, mail: MailSettings | None = None) -> AlertChannel:
    [channel] = open_builtin(alerts, ServingSettings(), mail or MailSettings())
    return channel


def test_slack_gets_its_form_with_a_link_to_the_run(hook: Hook) -> None:
    webhook_channel(hook).send(ALERT)

    assert hook.received == [
        {
            "text": "*Run of heal failed* (error)\n"
            "HTTP 403 &lt;!channel&gt; &amp; more\n"
            "<http://127.0.0.1:3000/runs/4f0c|open in Dagster>"
        }
    ]


@pytest.mark.parametrize(
    ("status", "headers", "delay_s"),
    [(503, {}, None), (429, {"Retry-After": "7"}, 7.0), (429, {"Retry-After": "Fri"}, None)],
)
def test_a_busy_webhook_is_transient(
    hook: Hook, status: int, headers: dict[str, str], delay_s: float | None
) -> None:
    hook.answers = [(status, headers)]

    with pytest.raises(TransientError) as raised:
        webhook_channel(hook).send(ALERT)

    assert raised.value.delay_s == delay_s


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410])
def test_a_webhook_that_is_gone_is_permanent_and_its_key_stays_secret(
    hook: Hook, status: int
) -> None:
    hook.answers = [(status, {"Location": "http://127.0.0.1:1/elsewhere"})]
    channel = webhook_channel(hook)

    with pytest.raises(PermanentError, match=str(status)) as raised:
        channel.send(ALERT)

    assert "SECRETKEY" not in f"{raised.value!r} {channel!r}"
    assert raised.value.__context__ is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/SECRETKEY", "not a url SECRETKEY"])
def test_a_webhook_that_is_away_keeps_its_key_secret(url: str) -> None:
    with pytest.raises((TransientError, PermanentError)) as raised:
        only_channel(AlertSettings(alert_webhook=url)).send(ALERT)

    assert "SECRETKEY" not in repr(raised.value)
    assert raised.value.__context__ is None


def test_a_mail_arrives_with_title_text_and_link() -> None:
    with smtp_server() as mailbox:
        mail = MailSettings(
            mail_transport="smtp",
            mail_from="Stocks <stocks@example.com>",
            smtp_host=mailbox.host,
            smtp_port=mailbox.port,
            smtp_starttls=False,
        )
        alert = Alert(
            AlertKind.STALE_DATA, "x", "Stale:\r\nBcc: everybody@example.com", "since 9 Uhr é"
        )
        only_channel(AlertSettings(alert_mail_to=("a@example.com", "b@example.com")), mail).send(
            alert
        )

    [message] = mailbox.received
    assert message["Subject"] == "[error] Stale: Bcc: everybody@example.com"
    assert (message["To"], message["Bcc"]) == ("a@example.com, b@example.com", None)
    assert "9 Uhr é" in message.get_content()


def test_a_mail_target_without_a_mail_server_is_refused_by_name() -> None:
    with pytest.raises(PermanentError, match="STOCKS_MAIL_TRANSPORT"):
        only_channel(AlertSettings(alert_mail_to=("a@example.com",)))


def test_sns_delivers_to_its_subscribers(aws: ServingSettings) -> None:
    sns, sqs = open_client(aws, "sns"), open_client(aws, "sqs")
    topic = sns.create_topic(Name=f"alerts-{aws.latest_quotes_table}")["TopicArn"]
    inbox = sqs.create_queue(QueueName=f"inbox-{aws.latest_quotes_table}")["QueueUrl"]
    names = ["QueueArn"]
    arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=names)["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    long = Alert(AlertKind.STALE_DATA, "x", "é" * 300 + "\n", "text", severity=ALERT.severity)

    [channel] = open_builtin(AlertSettings(alert_sns_topic=topic), aws, MailSettings())
    channel.send(long)

    [message] = sqs.receive_message(QueueUrl=inbox)["Messages"]
    body = json.loads(message["Body"])
    assert len(body["Subject"]) == 100
    assert "text" in body["Message"]
    assert body["MessageAttributes"]["kind"]["Value"] == "stale_data"


def test_a_missing_topic_is_permanent(aws: ServingSettings) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:nobody"
    [channel] = open_builtin(AlertSettings(alert_sns_topic=topic), aws, MailSettings())

    with pytest.raises(PermanentError, match="NotFound"):
        channel.send(ALERT)


def test_one_dead_target_of_three_stops_nobody(
    hook: Hook, aws: ServingSettings, tmp_path: Path
) -> None:
    topic = open_client(aws, "sns").create_topic(Name=f"a-{aws.latest_quotes_table}")["TopicArn"]
    dead = MailSettings(
        mail_transport="smtp", mail_from="s@example.com", smtp_host="127.0.0.1", smtp_port=1
    )
    alerts = AlertSettings(
        alert_mail_to=("a@example.com",), alert_sns_topic=topic, alert_webhook=hook.url
    )

    told = send_alert(
        ALERT,
        open_builtin(alerts, aws, dead),
        FileStore.open(tmp_path),
        clock=lambda: NOW,
        window=timedelta(hours=1),
    )

    assert (told.sent, told.failed) == (("sns", "webhook"), ("mail",))


def test_nothing_configured_means_no_targets() -> None:
    assert open_builtin(AlertSettings(), ServingSettings(), MailSettings()) == []


def test_the_secret_of_the_settings_prints_as_stars() -> None:
    settings = AlertSettings(alert_webhook="http://127.0.0.1/SECRETKEY")

    assert "SECRETKEY" not in repr(settings)


def test_every_kind_of_alert_has_words_and_a_key_of_its_own() -> None:
    url, friday = "http://127.0.0.1:3000", date(2026, 11, 20)
    symbols = [f"S{n}" for n in range(30)]
    alerts = [
        ALERT,
        messages.refused_gap(friday, symbols, "massive", dagster_url=url),
        messages.exhausted_gap(friday, ["GOOG"], 7, dagster_url=url),
        messages.silent_stream("AM", NOW, dagster_url=url),
        messages.late_report(date(2026, 11, 16), NOW, "", dagster_url=url),
        messages.stale_data("lake/daily_bars", None, friday, dagster_url=url),
    ]

    assert {alert.kind for alert in alerts} == set(AlertKind)
    assert all(alert.title and alert.text and alert.key and alert.link for alert in alerts)
    assert alerts[1].text.count("S") == 20
    assert "and 10 more" in alerts[1].text
