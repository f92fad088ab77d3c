"""The archive's S3 calls: each may be repeated and reports what the store already has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from stock_platform.errors import PermanentError, TransientError
from stock_platform.stream.sinks.archive.state import Part

CONNECT_S = 5
ANSWER_S = 30
_GONE = frozenset({"NoSuchUpload", "404", "NoSuchKey", "InvalidPart"})
_THERE = frozenset({"PreconditionFailed", "412"})
_AGAIN = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})


class KeyExistsError(PermanentError):
    """The key holds an object already."""


class UploadNotFoundError(PermanentError):
    """The multipart upload is not there any more, or must be made anew."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Which bucket, and how it is reached; keys come from the usual AWS chain."""

    bucket: str
    region: str
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a key holds."""

    bytes: int
    origin: str


class ArchiveStore:
    """One bucket. Every method raises `TransientError` for what another try may fix."""

    def __init__(self, options: StoreOptions) -> None:
        self._bucket = options.bucket
        self._s3: Any = boto3.Session().client(
            "s3",
            region_name=options.region,
            endpoint_url=options.endpoint_url or None,
            config=botocore.config.Config(
                connect_timeout=CONNECT_S,
                read_timeout=ANSWER_S,
                # Retries are ours: they must not hide in a thread for minutes.
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                s3={"addressing_style": "path"} if options.endpoint_url else {},
            ),
        )

    def put(self, key: str, path: Path, origin: str) -> None:
        """Create a small object; raise `KeyExistsError` when the key has one."""
        with path.open("rb") as body:
            self._call(
                "put_object", Key=key, Body=body, IfNoneMatch="*", Metadata={"origin": origin}
            )

    def put_marker(self, key: str) -> None:
        self._call("put_object", Key=key, Body=b"")

    def delete(self, key: str) -> None:
        self._call("delete_object", Key=key)

    def begin(self, key: str, origin: str) -> str:
        """Open a multipart upload and return its id."""
        answer = self._call("create_multipart_upload", Key=key, Metadata={"origin": origin})
        return str(answer["UploadId"])

    def upload(self, key: str, upload_id: str, number: int, path: Path) -> str:
        """Upload one part and return its tag; the same number again replaces it."""
        with path.open("rb") as body:
            answer = self._call(
                "upload_part", Key=key, UploadId=upload_id, PartNumber=number, Body=body
            )
        return str(answer["ETag"])

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Complete the object; raise `KeyExistsError` when the key has one."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        self._call(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
        )

    def check(self, key: str, upload_id: str) -> None:
        """Raise `UploadNotFoundError` when the upload is not there."""
        self._call("list_parts", Key=key, UploadId=upload_id, MaxParts=1)

    def abort(self, key: str, upload_id: str) -> None:
        try:
            self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except UploadNotFoundError:
            return

    def find(self, key: str) -> Found | None:
        """Return what the key holds."""
        try:
            answer = self._call("head_object", Key=key)
        except UploadNotFoundError:
            return None
        return Found(int(answer["ContentLength"]), answer.get("Metadata", {}).get("origin", ""))

    def close(self) -> None:
        self._s3.close()

    def _call(self, operation: str, **arguments: object) -> dict[str, Any]:
        try:
            return getattr(self._s3, operation)(Bucket=self._bucket, **arguments)
        except botocore.exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _THERE:
                raise KeyExistsError from error
            if code in _GONE | _AGAIN:
                raise UploadNotFoundError(code) from error
            raise TransientError(f"S3 answered {operation} with {code}") from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            raise TransientError(
                f"S3 does not answer {operation}: {type(error).__name__}"
            ) from error
