"""Read an HTTP body to its end, or know that it was not the end.

httpx2 takes a gzip stream that stops in the middle for a whole one, so it is
inflated here, where the missing trailer is seen and an answer that inflates
without bound is stopped.
"""

import time
import zlib
from collections.abc import Iterable

from stock_platform.errors import InvalidDataError, TransientError

_GZIP = 31
"""zlib's window bits for a gzip header and trailer."""


def read_whole(
    chunks: Iterable[bytes], *, encoding: str, bytes_max: int, timeout_s: float
) -> bytes:
    """Join (and inflate) `chunks`; raise `TransientError` when they end early or drag on.

    Raises `InvalidDataError` for more than `bytes_max` bytes and for an encoding that was not
    requested.
    """
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise InvalidDataError(f"expected gzip or plain text, found encoding {encoding[:20]!a}")
    inflate = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
    deadline = time.monotonic() + timeout_s
    parts: list[bytes] = []
    room = bytes_max
    for chunk in chunks:
        part = _inflated(inflate, chunk, room + 1) if inflate else chunk
        room -= len(part)
        parts.append(part)
        if room < 0:
            raise InvalidDataError(f"expected at most {bytes_max} bytes, found more")
        if time.monotonic() > deadline:
            raise TransientError(f"the body did not end within {timeout_s:.0f} s")
    if inflate and not inflate.eof:
        raise TransientError("the gzip body ends early")
    return b"".join(parts)


def _inflated(inflate: "zlib._Decompress", chunk: bytes, bytes_max: int) -> bytes:
    try:
        return inflate.decompress(chunk, bytes_max)
    except zlib.error:
        raise TransientError("the gzip body is damaged") from None
