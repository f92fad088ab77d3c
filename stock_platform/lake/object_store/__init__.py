"""Where objects live: a folder or an S3 prefix, with compare-and-swap on both."""

from urllib.parse import urlsplit

from stock_platform.errors import PermanentError
from stock_platform.lake.object_store.interface import (
    ObjectMeta,
    ObjectStore,
    Version,
    VersionConflictError,
    update,
    validated_path,
)
from stock_platform.settings import LakeSettings

__all__ = [
    "ObjectMeta",
    "ObjectStore",
    "Version",
    "VersionConflictError",
    "open_store",
    "update",
    "validated_path",
]


def open_store(settings: LakeSettings, *, create: bool = True) -> ObjectStore:
    """Open the lake the settings name: a folder or an S3 prefix.

    A folder that does not exist is made, or with `create=False` (readers) refused with
    `PermanentError`, as is a location that is neither.
    """
    if "://" not in settings.lake:
        from stock_platform.lake.object_store.filesystem import FileStore

        return FileStore.open(settings.lake, create=create)
    url = urlsplit(settings.lake)
    if url.scheme != "s3" or not url.netloc:
        raise PermanentError(
            f"STOCKS_LAKE is a folder or s3://bucket/prefix, found {settings.lake!a}"
        )
    from stock_platform.lake.object_store.s3 import S3ObjectStore

    return S3ObjectStore.open(settings, bucket=url.netloc, prefix=url.path.strip("/"))
