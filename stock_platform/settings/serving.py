"""The serving stores, the queue of quote requests and the weekly report."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from stock_platform.settings.loader import StocksSettings


class PostgresSettings(StocksSettings):
    """Where `stock_data` is served from."""

    postgres_url: SecretStr = Field(
        SecretStr(""), description="postgresql://user:password@host/database; empty: SQLite"
    )
    serving_sqlite: Path = Field(
        Path("./data/serving.sqlite"), description="the embedded store, used without postgres_url"
    )
    postgres_connections_max: int = Field(4, ge=1, le=64, description="of one process's pool")
    postgres_timeout_s: float = Field(
        600.0, gt=0, description="longest wait for a lock or a statement of the serving store"
    )


class ServingSettings(StocksSettings):
    """The AWS stores fed beside the lake: DynamoDB, Kinesis."""

    aws_region: str = Field("us-east-1", description="region of the tables, queues and streams")
    aws_endpoint: str = Field("", description="endpoint other than AWS's, for all of them")
    aws_access_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    aws_secret_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    latest_quotes_table: str = Field(
        "stocks-latest-quotes", description="DynamoDB table of the newest quote of each symbol"
    )
    latest_quotes_writers: int = Field(8, ge=1, le=64, description="parallel conditional writes")
    quotes_stream: str = Field("", description="Kinesis stream of raw quotes; empty: none")


class QueueSettings(StocksSettings):
    """The SQS queue of quote requests."""

    quote_queue: str = Field("stocks-quote-requests", description="queue of {'symbol': ...}")
    quote_dead_letters: str = Field(
        "stocks-quote-requests-dead", description="queue of requests that no provider answers"
    )
    quote_visibility_s: int = Field(
        120, ge=1, le=43_200, description="a received request comes back after this, unless deleted"
    )
    quote_receives_max: int = Field(
        5, ge=1, le=1000, description="tries before a request without an answer is a dead letter"
    )
    quote_batches_max: int = Field(
        200, ge=1, description="batches of 10 received by one run, so that a run ends"
    )


class ReportSettings(StocksSettings):
    """The weekly report."""

    report_to: tuple[str, ...] = Field((), description="JSON list of addresses; empty: no mail")
    report_charts_max: int = Field(
        20, ge=0, le=200, description="charts of one report; best and worst movers come first"
    )
    report_rows_max: int = Field(100, ge=1, le=5000, description="symbols in the table of a mail")
    report_attempts_max: int = Field(5, ge=1, le=20, description="tries while nothing was accepted")
    report_retry_s: float = Field(10.0, gt=0, description="first wait between tries; it doubles")


class MailSettings(StocksSettings):
    """How mail leaves: an SMTP server or SES."""

    mail_transport: Literal["none", "smtp", "ses"] = Field(
        "none", description="none: reports are rendered, not mailed"
    )
    mail_from: str = Field("", description="sender, e.g. Stocks <stocks@example.com>")
    smtp_host: str = "localhost"
    smtp_port: int = Field(587, ge=1, le=65_535)
    smtp_starttls: bool = Field(
        True, description="false only for a server on this machine; a password is then an error"
    )
    smtp_ca_file: Path | None = Field(None, description="PEM of a private CA; default: system's")
    smtp_user: str = Field("", description="empty: no login")
    smtp_password: SecretStr = SecretStr("")
    smtp_timeout_s: float = Field(30.0, gt=0, description="of one answer of the server")
    ses_region: str = "us-east-1"
    ses_endpoint: str = Field("", description="endpoint other than AWS's")
    ses_access_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    ses_secret_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")

    def needed_secrets(self) -> tuple[str, ...]:
        """Return the secrets of the transport in use."""
        if self.mail_transport == "ses":
            return ("ses_access_key", "ses_secret_key")
        return ("smtp_password",) if self.mail_transport == "smtp" and self.smtp_user else ()
