"""The market-data providers and how requests are sent to them."""

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from stock_platform.settings.loader import StocksSettings


class MassiveSettings(StocksSettings):
    """Massive (formerly Polygon.io): REST and flat files."""

    model_config = SettingsConfigDict(env_prefix="MASSIVE_")

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


class FinnhubSettings(StocksSettings):
    """Finnhub: quotes, and candles where the plan has them."""

    model_config = SettingsConfigDict(env_prefix="FINNHUB_")

    api_key: SecretStr = Field(SecretStr(""), description="empty: the provider is not used")
    rest_url: str = "https://finnhub.io/api/v1"
    requests_per_minute: int = Field(60, ge=0, description="0 = no limit")
    requests_per_second: int = Field(30, ge=0, description="0 = no limit")
    candles: bool = Field(
        False, description="the plan includes /stock/candle: use it as a second source of bars"
    )


class RapidSettings(StocksSettings):
    """A RapidAPI-style quote endpoint; the field mapping is a setting."""

    model_config = SettingsConfigDict(env_prefix="RAPIDAPI_")

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


class RequestSettings(StocksSettings):
    """How requests to providers are sent."""

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
    max_concurrent_requests: int = Field(8, ge=1, le=64, description="parallel calls of one run")
    secrets_from: str = Field(
        "", description="AWS Secrets Manager id holding a JSON object of the keys above"
    )
    secrets_endpoint: str = Field("", description="endpoint other than AWS's")
    secrets_region: str = Field("us-east-1", description="region of that secret")
