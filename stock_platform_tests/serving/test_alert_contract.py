"""Every alert channel keeps one contract: the built-in ones, and the template of the docs."""

from collections.abc import Generator
from importlib.metadata import EntryPoint
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import structlog

from stock_platform.serving.alerts.channels import open_builtin
from stock_platform.serving.alerts.dispatch import AlertChannel
from stock_platform.serving.alerts.registry import GROUP, open_channels
from stock_platform.serving.aws import open_client
from stock_platform.settings import AlertSettings, MailSettings, ServingSettings, Settings
from stock_platform.testing.alert_channels import AlertChannelContract
from stock_platform_tests.house.repository import ROOT
from stock_platform_tests.serving.hooks import webhook
from stock_platform_tests.serving.mail_servers import smtp_server

TEMPLATE = ROOT / "docs" / "templates" / "alert_channel.py"


def builtin(
    alerts: AlertSettings, aws: ServingSettings | None = None, mail: MailSettings | None = None
) -> AlertChannel:
    [channel] = open_builtin(alerts, aws or ServingSettings(), mail or MailSettings())
    return channel


def template() -> ModuleType:
    spec = spec_from_file_location("alert_channel_template", TEMPLATE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestWebhook(AlertChannelContract):
    secret = "SECRETKEY"

    @pytest.fixture(autouse=True)
    def running(self) -> Generator[None]:
        with webhook() as self.hook:
            yield

    def open_channel(self) -> AlertChannel:
        return builtin(AlertSettings(alert_webhook=self.hook.url))

    def open_unreachable(self) -> AlertChannel:
        return builtin(AlertSettings(alert_webhook="http://127.0.0.1:1/SECRETKEY"))

    def received(self) -> int:
        return len(self.hook.received)


class TestMail(AlertChannelContract):
    @pytest.fixture(autouse=True)
    def running(self) -> Generator[None]:
        with smtp_server() as self.mailbox:
            yield

    def open_channel(self) -> AlertChannel:
        return self._of(self.mailbox.port)

    def open_unreachable(self) -> AlertChannel:
        return self._of(1)

    def received(self) -> int:
        return len(self.mailbox.received)

    def _of(self, port: int) -> AlertChannel:
        mail = MailSettings(
            mail_transport="smtp",
            mail_from="stocks@example.com",
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_starttls=False,
        )
        return builtin(AlertSettings(alert_mail_to=("a@example.com",)), mail=mail)


class TestSns(AlertChannelContract):
    @pytest.fixture(autouse=True)
    def running(self, aws: ServingSettings) -> None:
        self.aws = aws
        sns, self.sqs = open_client(aws, "sns"), open_client(aws, "sqs")
        self.topic = sns.create_topic(Name=f"c-{aws.latest_quotes_table}")["TopicArn"]
        self.inbox = self.sqs.create_queue(QueueName=f"c-{aws.latest_quotes_table}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.inbox, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])

    def open_channel(self) -> AlertChannel:
        return builtin(AlertSettings(alert_sns_topic=self.topic), aws=self.aws)

    def open_unreachable(self) -> AlertChannel:
        missing = "arn:aws:sns:us-east-1:123456789012:nobody"
        return builtin(AlertSettings(alert_sns_topic=missing), aws=self.aws)

    def received(self) -> int:
        names = ["ApproximateNumberOfMessages"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.inbox, AttributeNames=names)
        return int(found["Attributes"]["ApproximateNumberOfMessages"])


class TestTemplate(AlertChannelContract):
    @pytest.fixture(autouse=True)
    def running(self, tmp_path: Path) -> None:
        self.path = tmp_path / "alerts.jsonl"

    def open_channel(self) -> AlertChannel:
        return template().FileChannel(self.path)

    def open_unreachable(self) -> AlertChannel:
        return template().FileChannel(self.path.parent / "nowhere" / "alerts.jsonl")

    def received(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_a_channel_of_another_package_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_channel.py").write_text(TEMPLATE.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ALERT_FILE", str(tmp_path / "alerts.jsonl"))

    channels = open_channels(Settings.from_env(), [entry("file", "their_channel:open_channel")])

    assert [channel.name for channel in channels] == ["file"]


def test_a_channel_that_is_not_configured_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_channel.py").write_text(TEMPLATE.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))

    assert open_channels(Settings.from_env(), [entry("f", "their_channel:open_channel")]) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module_anywhere:open_channel", "ModuleNotFoundError"),
        ("builtins:dict.fromkeys", "TypeError"),
        ("sys:exit", "SystemExit"),
        ("builtins:bool", "it has no method send"),
    ],
)
def test_a_broken_channel_is_one_line_and_the_others_stay(
    value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_ALERT_WEBHOOK", "http://127.0.0.1:1/")

    with structlog.testing.capture_logs() as lines:
        channels = open_channels(Settings.from_env(), [entry("broken", value)])

    assert [channel.name for channel in channels] == ["webhook"]
    [line] = lines
    assert (line["event"], line["channel"]) == ("alert_channel_left_out", "broken")
    assert reason in line["reason"]
