"""The lake in S3: the bucket itself compares and swaps (If-Match, If-None-Match).

A PUT whose response was lost may be sent again by the client and then meets its
own first copy: that is a `VersionConflictError` too. `update` reads again, finds that
nothing is left to change and stops, so the doubt costs one read and no data.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from obstore import exceptions
from obstore.store import S3Store

from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake.object_store.interface import (
    ObjectMeta,
    Version,
    VersionConflictError,
    validated_path,
)
from stock_platform.settings import LakeSettings

RETRIES_MAX = 5
RETRY_FOR = timedelta(seconds=60)
"""How long one request is repeated on 409, 5xx and broken connections."""


@dataclass(frozen=True, slots=True)
class S3ObjectStore:
    """A prefix of a bucket as a store."""

    bucket: str
    prefix: str
    objects: S3Store

    @classmethod
    def open(cls, settings: LakeSettings, *, bucket: str, prefix: str) -> "S3ObjectStore":
        """Open a prefix with the keys of `settings`, or with those AWS finds by itself."""
        config: dict[str, str] = {"region": settings.s3_region}
        if settings.s3_endpoint:
            config["endpoint"] = settings.s3_endpoint
        if key := settings.s3_access_key.get_secret_value():
            config["access_key_id"] = key
            config["secret_access_key"] = settings.s3_secret_key.get_secret_value()
        plain = settings.s3_endpoint.startswith("http://")
        objects = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,  # pyright: ignore[reportArgumentType]
            client_options={"allow_http": plain, "timeout": "120s"},
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": RETRY_FOR},
        )
        return cls(bucket, prefix, objects)

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def uri(self, path: str) -> str:
        return f"{self.root}/{validated_path(path)}"

    def get(self, path: str) -> tuple[bytes, Version] | None:
        with _translated("GET", path):
            try:
                found = self.objects.get(validated_path(path))
            except FileNotFoundError:
                return None
            return bytes(found.bytes()), Version(found.meta["e_tag"] or "")

    def get_suffix(self, path: str, size: int) -> bytes | None:
        with _translated("GET", path):
            try:
                found = self.objects.get(validated_path(path), options={"range": {"suffix": size}})
            except FileNotFoundError:
                return None
            return bytes(found.bytes())

    def get_range(self, path: str, start: int, size: int, expected: Version) -> bytes:
        with _translated("GET", path):
            options = {"range": (start, start + size), "if_match": str(expected)}
            try:
                found = self.objects.get(validated_path(path), options=options)  # pyright: ignore[reportArgumentType]
            except FileNotFoundError:
                raise VersionConflictError(f"{path} was deleted while it was read") from None
            return bytes(found.bytes())

    def put_if_match(self, path: str, data: bytes, expected: Version | None) -> Version:
        mode = "create" if expected is None else {"e_tag": str(expected)}
        with _translated("PUT", path):
            # In one piece: a condition on a multipart upload is only checked at its end.
            put = self.objects.put(validated_path(path), data, mode=mode, use_multipart=False)  # pyright: ignore[reportArgumentType]
            return Version(put["e_tag"] or "")

    def put_if_absent(self, path: str, data: bytes) -> bool:
        for _ in range(RETRIES_MAX):
            try:
                self.put_if_match(path, data, None)
            except VersionConflictError:
                # 412 means that the object is there, 409 only that another writer is at it
                # and may yet fail: the client does not distinguish them, the object does.
                if self.get_suffix(path, 1) is not None:
                    return False
                continue
            return True
        raise TransientError(f"S3 PUT {path} failed: {RETRIES_MAX} conflicts and no object")

    def folders(self, prefix: str) -> list[str]:
        with _translated("LIST", prefix):
            inside = validated_path(prefix) if prefix else None
            found = self.objects.list_with_delimiter(inside)["common_prefixes"]
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)

    def delete(self, paths: list[str]) -> None:
        with _translated("DELETE", paths[0] if paths else ""):
            self.objects.delete([validated_path(path) for path in paths])

    def list(self, prefix: str) -> list[ObjectMeta]:
        with _translated("LIST", prefix):
            inside = validated_path(prefix) if prefix else None
            found = [
                ObjectMeta(
                    path=item["path"],
                    size=item["size"],
                    modified_at=item["last_modified"],
                    version=Version(item["e_tag"] or ""),
                )
                for page in self.objects.list(inside)
                for item in page
            ]
        return sorted(found, key=lambda entry: entry.path)


@contextmanager
def _translated(verb: str, path: str) -> Generator[None]:
    """Turn the client's errors into ours; their texts may hold a host or a whole response."""
    try:
        yield
    except VersionConflictError:
        raise
    except (exceptions.PreconditionError, exceptions.AlreadyExistsError):
        raise VersionConflictError(f"{path} was replaced by another writer") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermanentError(f"S3 {verb} {path} is not allowed: {_status(error)}") from None
    except (exceptions.BaseError, OSError) as error:
        raise TransientError(f"S3 {verb} {path} failed: {_status(error)}") from None


def _status(error: Exception) -> str:
    found = re.search(r"status code: (\d{3} [A-Za-z ]+)", str(error))
    return found[1] if found else type(error).__name__
