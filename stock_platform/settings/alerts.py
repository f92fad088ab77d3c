"""Alerts: their receivers and how often they are sent."""

from pydantic import Field, SecretStr

from stock_platform.settings.loader import StocksSettings


class AlertSettings(StocksSettings):
    """Who receives alerts, and how often."""

    alert_window_minutes: float = Field(
        240.0, gt=0, description="an alert that stays is sent once in this time"
    )
    alert_mail_to: tuple[str, ...] = Field((), description="JSON list of addresses; empty: none")
    alert_sns_topic: str = Field("", description="ARN of an SNS topic; empty: none")
    alert_webhook: SecretStr = Field(
        SecretStr(""), description="URL taking Slack's form of JSON; empty: none"
    )
    alert_timeout_s: float = Field(10.0, gt=0, le=30, description="of one attempt at the webhook")
    dagster_url: str = Field(
        "http://127.0.0.1:3000", description="where people open Dagster; links point there"
    )

    def needed_secrets(self) -> tuple[str, ...]:
        """Return the webhook where it is the only receiver: other receivers get the alert."""
        return () if self.alert_mail_to or self.alert_sns_topic else ("alert_webhook",)
