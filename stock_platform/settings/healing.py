"""When a minute counts as missing, how it is requested again, and what is late."""

from pydantic import Field

from stock_platform.settings.loader import StocksSettings


class HealingSettings(StocksSettings):
    """When a minute counts as missing and how often it is requested."""

    grace_minutes: float = Field(2.0, ge=0, description="age at which an absent minute is a gap")
    settle_minutes: float = Field(20.0, ge=0, description="after the close, before REST is final")
    live_sessions: int = Field(5, ge=1, le=60, description="sessions watched minute by minute")
    verify_after_hours: tuple[float, ...] = Field(
        (1.0, 24.0, 168.0), description="JSON list: re-verification of closed sessions"
    )
    backoff_minutes: tuple[float, ...] = Field(
        (2.0, 10.0, 60.0, 360.0, 1440.0, 4320.0),
        description="JSON list: waits after each failed attempt; after the last one an alert",
    )
    calls_max: int = Field(2_000, ge=1, description="provider calls of one heal run")
    sessions_at_once: int = Field(4, ge=1, description="heal runs requested in one tick")
    polling: bool = Field(False, description="poll quotes every minute of a session")
    keep_runs_days: int = Field(400, ge=1, description="age at which Dagster's runs are deleted")
    sensor_interval_s: int = Field(30, ge=1, description="between ticks of the gap sensors")


class AutomationSettings(StocksSettings):
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
        300.0, ge=60, description="while the market is open: a channel without a message"
    )
