"""The streaming sidecar's settings."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from stock_platform.domain.symbols import Symbol, parse_symbols
from stock_platform.errors import InvalidDataError
from stock_platform.settings.loader import EnvironmentSettings

S3_PARTS_MAX = 10_000
"""The most parts in one S3 upload."""


class RedisSettings(EnvironmentSettings):
    """The sidecar's Redis alone, so that it can be checked before the rest is set."""

    redis_url: SecretStr = Field(
        SecretStr(""), description="redis://, rediss:// or Upstash's https:// URL"
    )
    redis_token: SecretStr = Field(SecretStr(""), description="of an https:// URL")

    def needed_secrets(self) -> tuple[str, ...]:
        """Return the address, and the token where the address is Upstash's."""
        url = self.redis_url.get_secret_value()
        return ("redis_url", "redis_token") if url.startswith("http") else ("redis_url",)


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:
        return 0


def _both_names(name: str) -> AliasChoices:
    """POLYGON_X under its old name first, MASSIVE_X as the alias."""
    return AliasChoices(f"POLYGON_{name}", f"MASSIVE_{name}")


class StreamSettings(EnvironmentSettings):
    """The streaming sidecar: sockets, journal, Redis and the S3 cold path."""

    polygon_api_key: SecretStr = Field(
        validation_alias=_both_names("API_KEY"), min_length=1, description="required"
    )
    polygon_ws_symbols: Annotated[tuple[Symbol, ...] | None, NoDecode] = Field(
        validation_alias=_both_names("WS_SYMBOLS"), description="required: AAPL,MSFT | * for all"
    )
    polygon_ws_host_realtime: str = Field(
        validation_alias=_both_names("WS_HOST_REALTIME"),
        description="required: wss://socket.massive.com, without /stocks",
    )
    polygon_ws_host_delayed: str = Field(
        validation_alias=_both_names("WS_HOST_DELAYED"),
        description="required: wss://delayed.massive.com, without /stocks",
    )
    redis_url: SecretStr = Field(
        min_length=1, description="required: redis://, rediss:// or Upstash's https:// URL"
    )
    redis_token: SecretStr = Field(SecretStr(""), description="required for an https:// URL")

    ws_debug: bool = Field(False, description="log truncated frames and every redis_write")
    ws_health_interval_sec: float = Field(30.0, gt=0, description="between health log lines")
    agg1m_ttl_sec: int = Field(120, ge=1)
    fmv_ttl_sec: int = Field(60, ge=1)
    trade_ttl_sec: int = Field(60, ge=1)
    quote_ttl_sec: int = Field(60, ge=1)
    polygon_discover_tickers: bool = Field(
        True, validation_alias=_both_names("DISCOVER_TICKERS"), description="add the listed symbols"
    )
    polygon_ticker_limit: int = Field(
        0, ge=0, validation_alias=_both_names("TICKER_LIMIT"), description="0 = unlimited"
    )
    polygon_subscribe_batch: int = Field(
        500, ge=1, validation_alias=_both_names("SUBSCRIBE_BATCH"), description="channels a message"
    )
    backoff_initial_ms: int = Field(1000, ge=1)
    backoff_factor: float = Field(2.0, ge=1)
    backoff_max_ms: int = Field(30_000, ge=1)

    s3_enabled: bool = Field(False, description="archive every event to S3")
    s3_bucket: str = Field("", description="required with S3_ENABLED")
    s3_prefix: str = "stocks"
    aws_region: str = Field("us-east-1", description="region of S3_BUCKET")
    s3_window_minutes: int = Field(30, ge=1, le=60, description="a divisor of 60")
    s3_max_object_bytes: int = Field(512_000_000, ge=5 * 1024 * 1024)
    s3_part_size_bytes: int = Field(16_777_216, ge=5 * 1024 * 1024)
    s3_use_marker: bool = Field(True, description="uploading.marker while an upload is open")
    s3_zstd: bool = Field(False, description="write .ndjson.zst")
    s3_endpoint_url: str = Field("", description="endpoint other than AWS's")

    journal_dir: Path = Field(Path("./data/journal"), description="on a local disk")
    journal_segment_bytes: int = Field(67_108_864, ge=65_536, le=134_217_728)
    journal_max_bytes: int = Field(8_589_934_592, ge=131_072, description="bound of the journal")
    journal_full_policy: Literal["pause", "drop_oldest"] = Field(
        "pause", description="at the bound: stop reading, or delete the oldest segment"
    )
    journal_sync_ms: int = Field(200, ge=1, description="what a loss of power may cost")
    redis_flush_ms: int = Field(50, ge=1, description="newest value per key, this often")
    redis_values_per_sec: int = Field(
        100_000, ge=100, description="at most so many values; above it they are set less often"
    )
    redis_publish: bool = Field(False, description="also PUBLISH each value on its key's name")
    queue_enabled: bool = Field(False, description="feed Redis Streams stock:events:{shard}")
    queue_shards: int = Field(4, ge=1, le=256)
    queue_entries_max: int = Field(10_000, ge=1, description="entries kept in each shard")
    stream_to_lake: bool = Field(True, description="AM bars to the lake, one part a minute")
    stream_sinks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="installed sinks to run beside the built-in ones; a JSON list, or name,name"
    )
    lease_ttl_sec: float = Field(15.0, gt=0.5, description="a dead sidecar is replaced after this")
    metrics_port: int = Field(9464, ge=0, le=65_535, description="/metrics, /healthz; 0 = any free")
    metrics_host: str = Field("127.0.0.1", description="0.0.0.0 inside a container")
    ws_engine: Literal["picows", "websockets"] = "picows"
    ws_ping_sec: float = Field(10.0, gt=0, description="between pings")
    ws_silence_sec: float = Field(30.0, gt=0, description="nothing at all, no pong: reconnect")
    ws_channel_silence_sec: float = Field(
        180.0, gt=0, description="a channel without data while the market is open: reconnect"
    )
    ws_frame_bytes_max: int = Field(16_777_216, ge=1024, description="larger messages: reconnect")

    def needed_secrets(self) -> tuple[str, ...]:
        """Return none: what is needed is required by the fields themselves."""
        return ()

    @field_validator("polygon_ws_symbols", mode="before")
    @classmethod
    def _read_symbols(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.strip() == "*":
            return None
        try:
            symbols = parse_symbols(value)
        except InvalidDataError as error:
            raise ValueError(str(error)) from error
        if not symbols:
            raise ValueError("name at least one symbol, or * for all")
        return symbols

    @field_validator("stream_sinks", mode="before")
    @classmethod
    def _read_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = (part.strip(" \"'") for part in value.strip(" []").split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @field_validator("polygon_ws_host_realtime", "polygon_ws_host_delayed")
    @classmethod
    def _is_socket(cls, value: str) -> str:
        url = urlsplit(value if "://" in value else f"wss://{value}")
        if url.scheme not in {"ws", "wss"}:
            raise ValueError("starts with wss:// (or ws:// on loopback)")
        if not url.hostname or _port(url) == 0:
            raise ValueError("names a host, and a port from 1 to 65535 if any")
        if url.path.strip("/") or url.query or url.fragment:
            raise ValueError("ends with the host, without /stocks, which is appended")
        return f"{url.scheme}://{url.netloc}"

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(
            ("redis://", "rediss://", "https://", "http://")
        ):
            raise ValueError("starts with redis://, rediss:// or https:// (Upstash REST)")
        url = urlsplit(value.get_secret_value())
        if not url.hostname or _port(url) == 0:
            raise ValueError("names a host, and a port from 1 to 65535 if any")
        return value

    @field_validator("redis_token")
    @classmethod
    def _is_given_for_upstash(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        url = info.data.get("redis_url")
        if url and url.get_secret_value().startswith("http") and not value.get_secret_value():
            raise ValueError("is required when REDIS_URL is an https:// URL")
        return value

    @field_validator("backoff_max_ms")
    @classmethod
    def _is_the_longest(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("backoff_initial_ms", 0):
            raise ValueError("is at least BACKOFF_INITIAL_MS")
        return value

    @field_validator("queue_enabled")
    @classmethod
    def _has_streams(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 pydantic calls
        url = info.data.get("redis_url")
        if value and url and url.get_secret_value().startswith("http"):
            raise ValueError("needs a redis:// or rediss:// URL: REST is too slow for a queue")
        return value

    @field_validator("s3_part_size_bytes")
    @classmethod
    def _is_enough_parts(cls, value: int, info: ValidationInfo) -> int:
        if value * S3_PARTS_MAX < info.data.get("s3_max_object_bytes", 0):
            raise ValueError(f"{S3_PARTS_MAX} parts of it hold no S3_MAX_OBJECT_BYTES")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _is_named(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("s3_enabled") and not value:
            raise ValueError("is required when S3_ENABLED is true")
        return value

    @field_validator("s3_window_minutes")
    @classmethod
    def _divides_the_hour(cls, value: int) -> int:
        if 60 % value:
            raise ValueError("a window is a divisor of 60 minutes")
        return value

    @field_validator("journal_max_bytes")
    @classmethod
    def _holds_segments(cls, value: int, info: ValidationInfo) -> int:
        if value < 2 * info.data.get("journal_segment_bytes", 0):
            raise ValueError("holds at least two segments of JOURNAL_SEGMENT_BYTES")
        return value
