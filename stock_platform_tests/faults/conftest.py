"""The same real servers as the sidecar's own tests."""

from stock_platform_tests.stream.conftest import _redis, _s3, redis, s3

__all__ = ["_redis", "_s3", "redis", "s3"]
