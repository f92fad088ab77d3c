"""Every environment variable the platform reads, typed, one class per concern.

Nobody else looks at the environment. A wrong value is one message that names
the variable (see `load`). Secrets are `SecretStr`: they print as stars.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stock_platform.domain.problems import Malformed, Permanent
from stock_platform.domain.session import Calendar, Overrides
from stock_platform.domain.symbol import Symbol, parse_symbol
from stock_platform.settings_stream import (  # noqa: F401 - asked for here like all the others
    RedisSettings,
    StreamSettings,
)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="STOCKS_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
    )


Kind = TypeVar("Kind", bound=BaseSettings)


def load(kind: type[Kind]) -> Kind:
    """Read one class of settings; raise `Permanent` naming every wrong variable."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = [
            f"{_variable(kind, str(problem['loc'][0]) if problem['loc'] else '', prefix)}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise Permanent("settings are wrong: " + "; ".join(wrong)) from None


def _variable(kind: type[BaseSettings], name: str, prefix: str) -> str:
    """Name what `name`, a field or one of its variables, is set by: all its names."""
    for field, known in kind.model_fields.items():
        alias = known.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else []
        names = [str(choice) for choice in choices]
        if names and name in {field, *names}:
            return f"{names[0]} (or {', '.join(names[1:])})" if names[1:] else names[0]
    return f"{prefix}{name}".upper()


class LakeSettings(_Settings):
    """Where the lake is."""

    lake: str = Field("./data", description="a folder, or s3://bucket/prefix")
    s3_endpoint: str = Field(
        "", description="S3 endpoint other than AWS's, e.g. http://127.0.0.1:5000"
    )
    s3_region: str = Field("us-east-1", description="region of the lake's bucket")
    s3_access_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")


class MarketSettings(_Settings):
    """What should be in the lake: which symbols, which sessions, which minutes."""

    symbols: Annotated[tuple[Symbol, ...] | None, NoDecode] = Field(
        (Symbol("GOOG"), Symbol("MSFT"), Symbol("NVDA"), Symbol("QUBT"), Symbol("RKLB")),
        description="GOOG,MSFT | @file with one symbol a line | * for the whole market",
    )
    first_session: date | None = Field(
        None, description="first day the lake should hold; default: 70 sessions ago"
    )
    last_session: date | None = Field(None, description="last day it should hold; default: today")
    history_sessions: int = Field(
        70, ge=1, le=2600, description="used when first_session is not set"
    )
    extended_hours: bool = Field(False, description="04:00-20:00 New York instead of 09:30-16:00")
    calendar_overrides: Path | None = Field(
        None, description="YAML of closures announced later: closed, early_closes"
    )

    @field_validator("symbols", mode="before")
    @classmethod
    def _read_symbols(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip()
        if text == "*":
            return None
        try:
            if text.startswith("@"):
                text = ",".join(Path(text[1:]).read_text().split())
            return tuple(parse_symbol(part.strip()) for part in text.split(",") if part.strip())
        except (Malformed, OSError) as error:
            raise ValueError(str(error)) from error

    def calendar(self) -> Calendar:
        """Build the calendar these settings describe."""
        path = self.calendar_overrides
        overrides = Overrides.from_file(path) if path else Overrides()
        return Calendar(extended=self.extended_hours, overrides=overrides)

    def span(self, today: date) -> tuple[date, date]:
        """Give the first and the last session the lake should hold as of `today`."""
        calendar = self.calendar()
        last = min(self.last_session or today, today)
        first = self.first_session or calendar.previous(today, self.history_sessions)
        return first, last


class MassiveSettings(_Settings):
    """Massive (formerly Polygon.io): REST and flat files."""

    model_config = SettingsConfigDict(
        env_prefix="MASSIVE_", extra="ignore", frozen=True, populate_by_name=True
    )

    api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("MASSIVE_API_KEY", "POLYGON_API_KEY"),
        description="empty: the provider is not used",
    )
    rest_url: str = Field(
        "https://api.massive.com",
        validation_alias=AliasChoices("MASSIVE_REST_URL", "POLYGON_REST_URL"),
        description="https://api.polygon.io still answers",
    )
    requests_per_minute: int = Field(0, ge=0, description="0 = no limit; the free plan has 5")
    flatfiles_url: str = Field("https://files.massive.com", description="S3 API of the flat files")
    flatfiles_bucket: str = "flatfiles"
    flatfiles_access_key: SecretStr = Field(SecretStr(""), description="empty: no flat files")
    flatfiles_secret_key: SecretStr = SecretStr("")


class FinnhubSettings(_Settings):
    """Finnhub: quotes, and candles where the plan has them."""

    model_config = SettingsConfigDict(
        env_prefix="FINNHUB_", extra="ignore", frozen=True, populate_by_name=True
    )

    api_key: SecretStr = Field(SecretStr(""), description="empty: the provider is not used")
    rest_url: str = "https://finnhub.io/api/v1"
    requests_per_minute: int = Field(60, ge=0, description="0 = no limit")
    requests_per_second: int = Field(30, ge=0, description="0 = no limit")
    candles: bool = Field(
        False, description="the plan includes /stock/candle: use it as a second source of bars"
    )


class RapidSettings(_Settings):
    """A RapidAPI-style quote endpoint; the field mapping is a setting."""

    model_config = SettingsConfigDict(
        env_prefix="RAPIDAPI_", extra="ignore", frozen=True, populate_by_name=True
    )

    key: SecretStr = Field(SecretStr(""), description="empty: the provider is not used")
    url: str = Field(
        "",
        description="with {symbol}, or {symbols} for a list with commas, in it, "
        "e.g. https://x.p.rapidapi.com/quote/{symbol}",
    )
    host: str = Field("", description="X-RapidAPI-Host; empty: the host of the URL")
    rows: str = Field("", description="dotted path to the quote or quotes; empty: the answer")
    fields: dict[str, str] = Field(
        {"price": "price", "high": "high", "low": "low", "quoted_at": "timestamp"},
        description="JSON: our column -> dotted path in the answer",
    )
    requests_per_minute: int = Field(0, ge=0, description="0 = no limit")


class RequestSettings(_Settings):
    """How providers are asked."""

    budget: str = Field(
        "",
        description="redis:// or a SQLite file shared by all processes; empty: beside the lake",
    )
    request_timeout_s: float = Field(20.0, gt=0)
    attempts_max: int = Field(4, ge=1, description="tries per call, the first included")
    retry_backoff_s: float = Field(
        0.5, ge=0, description="before the second try, doubling, unless the provider names a delay"
    )
    retry_wait_max_s: float = Field(
        60.0, ge=0, description="a longer delay named by a provider ends the call"
    )
    budget_wait_max_s: float = Field(
        120.0, ge=0, description="longest wait of a call for a free request of the budget"
    )
    asks_at_once: int = Field(8, ge=1, le=64, description="parallel calls of one run")
    secrets_from: str = Field(
        "", description="AWS Secrets Manager id holding a JSON object of the keys above"
    )
    secrets_endpoint: str = Field("", description="endpoint other than AWS's")
    secrets_region: str = Field("us-east-1", description="region of that secret")


class HealingSettings(_Settings):
    """When a minute counts as missing and how hard we try."""

    grace_minutes: float = Field(2.0, ge=0, description="age at which an absent minute is a gap")
    settle_minutes: float = Field(20.0, ge=0, description="after the close, before REST is final")
    live_sessions: int = Field(5, ge=1, le=60, description="sessions watched minute by minute")
    verify_after_hours: tuple[float, ...] = Field(
        (1.0, 24.0, 168.0), description="JSON list: re-verification of closed sessions"
    )
    backoff_minutes: tuple[float, ...] = Field(
        (2.0, 10.0, 60.0, 360.0, 1440.0, 4320.0),
        description="JSON list: waits after each failed attempt; after the last one an alarm",
    )
    calls_max: int = Field(2_000, ge=1, description="provider calls of one heal run")
    sessions_at_once: int = Field(4, ge=1, description="heal runs asked for in one tick")
    polling: bool = Field(False, description="poll quotes every minute of a session")
    keep_runs_days: int = Field(400, ge=1, description="Dagster's runs and events are kept so long")
    sensor_interval_s: int = Field(30, ge=1, description="between ticks of the gap sensors")


class PostgresSettings(_Settings):
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


class ServingSettings(_Settings):
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


class QueueSettings(_Settings):
    """The SQS queue of quote requests."""

    quote_queue: str = Field("stocks-quote-requests", description="queue of {'symbol': ...}")
    quote_dead_letters: str = Field(
        "stocks-quote-requests-dead", description="queue of the requests nobody can answer"
    )
    quote_visibility_s: int = Field(
        120, ge=1, le=43_200, description="a taken request comes back after this, unless deleted"
    )
    quote_receives_max: int = Field(
        5, ge=1, le=1000, description="tries before a request without an answer is a dead letter"
    )
    quote_batches_max: int = Field(
        200, ge=1, description="batches of 10 taken by one run, so that a run ends"
    )


class AlertSettings(_Settings):
    """Who hears of trouble, and how often."""

    alert_window_minutes: float = Field(
        240.0, gt=0, description="the same trouble is told once in this time"
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


class IndicatorSettings(_Settings):
    """Which indicators are computed."""

    indicators: tuple[str, ...] = Field(
        (), description="JSON list of indicator or column names; empty: every one installed"
    )


class ReportSettings(_Settings):
    """The weekly report."""

    report_to: tuple[str, ...] = Field((), description="JSON list of addresses; empty: no mail")
    report_charts_max: int = Field(
        20, ge=0, le=200, description="charts of one report; best and worst movers come first"
    )
    report_rows_max: int = Field(100, ge=1, le=5000, description="symbols in the table of a mail")
    report_attempts_max: int = Field(5, ge=1, le=20, description="tries while nothing was accepted")
    report_retry_s: float = Field(10.0, gt=0, description="first wait between tries; it doubles")


class MailSettings(_Settings):
    """How mail leaves: an SMTP server or SES."""

    mail_transport: Literal["none", "smtp", "ses"] = Field(
        "none", description="none: reports are rendered, not mailed"
    )
    mail_from: str = Field("", description="sender, e.g. Stocks <stocks@example.com>")
    smtp_host: str = "localhost"
    smtp_port: int = Field(587, ge=1, le=65_535)
    smtp_starttls: bool = Field(
        True, description="false only for a server on this machine; a password is then refused"
    )
    smtp_ca_file: Path | None = Field(None, description="PEM of a private CA; default: system's")
    smtp_user: str = Field("", description="empty: no login")
    smtp_password: SecretStr = SecretStr("")
    smtp_timeout_s: float = Field(30.0, gt=0, description="of one answer of the server")
    ses_region: str = "us-east-1"
    ses_endpoint: str = Field("", description="endpoint other than AWS's")
    ses_access_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    ses_secret_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")


class DagsterSettings(BaseSettings):
    """What Dagster itself reads; named here so that it is documented and examined."""

    model_config = SettingsConfigDict(
        env_prefix="DAGSTER_", extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path | None = Field(
        None, description="folder of Dagster's instance, an absolute path; `make dev` uses .dagster"
    )


class FollowingSettings(_Settings):
    """What is kept up to date by itself beside the lake, and when it counts as late."""

    serve_latest_quotes: bool | None = Field(
        None,
        description="write DynamoDB after new quotes; default: when STOCKS_AWS_ACCESS_KEY or "
        "STOCKS_AWS_ENDPOINT is set",
    )
    quote_requests: bool | None = Field(
        None,
        description="enqueue and answer quote requests; default: when STOCKS_AWS_ACCESS_KEY or "
        "STOCKS_AWS_ENDPOINT is set",
    )
    stale_after_hours: float = Field(
        6.0, gt=0, description="after the close: what then lacks the session is stale"
    )
    report_late_after_hours: float = Field(
        2.0, gt=0, description="after Saturday 16:00 UTC: a report not sent by then is late"
    )
    stream_silent_after_s: float = Field(
        300.0, ge=60, description="while the market is open: a channel without a sign of life"
    )


class SidecarSettings(BaseSettings):
    """Where the assets find the sidecar: its health by HTTP, or its journal on this machine."""

    model_config = SettingsConfigDict(
        env_prefix="", extra="ignore", frozen=True, populate_by_name=True
    )

    sidecar_url: str = Field(
        "",
        validation_alias=AliasChoices("STOCKS_SIDECAR_URL"),
        description="e.g. http://sidecar:9464; empty: looked for by JOURNAL_DIR",
    )
    journal_dir: Path = Field(Path("./data/journal"), description="of a sidecar on this machine")
