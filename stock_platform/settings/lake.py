"""Where the lake is."""

from pydantic import Field, SecretStr

from stock_platform.settings.loader import StocksSettings


class LakeSettings(StocksSettings):
    """Where the lake is."""

    lake: str = Field("./data", description="a folder, or s3://bucket/prefix")
    s3_endpoint: str = Field(
        "", description="S3 endpoint other than AWS's, e.g. http://127.0.0.1:5000"
    )
    s3_region: str = Field("us-east-1", description="region of the lake's bucket")
    s3_access_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="empty: the usual AWS chain")

    def needed_secrets(self) -> tuple[str, ...]:
        """Return the keys of S3; a folder needs none."""
        return super().needed_secrets() if self.lake.startswith("s3://") else ()
