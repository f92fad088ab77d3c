"""Checksums: of an object's bytes, kept in the object itself, and of rows, whatever their bytes.

A bit that flips inside a Parquet page can decode to other values without an error. So every
object's footer holds the SHA-256 of all of its bytes, its own 64 digits taken as zeros:
it travels with every copy, and there is no second object that could be stale.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from io import BytesIO

import numpy as np
import polars as pl

from stock_platform.errors import InvalidDataError

CHECKSUM = "stocks.checksum"
BLANK_CHECKSUM = "0" * 64
"""What an object is encoded with before its bytes are known."""

# Thrift's compact protocol: the name, a field of type binary, its length, then the digits.
_BEFORE = CHECKSUM.encode() + bytes([0x18, len(BLANK_CHECKSUM)])
_FOOTER_END = 8
"""The length of the footer and `PAR1`."""


class ChecksumState(StrEnum):
    """What an object's own checksum shows."""

    RIGHT = "right"
    WRONG = "wrong"
    ABSENT = "absent"
    """Written by an earlier release, or not by this platform."""


def fill_checksum(out: BytesIO) -> None:
    """Write the checksum of an encoded object into it, in place of `BLANK_CHECKSUM`."""
    with out.getbuffer() as data:
        footer = int.from_bytes(data[-_FOOTER_END : -_FOOTER_END + 4], "little") + _FOOTER_END
        at = bytes(data[-footer:]).rfind(_BEFORE)
        if at < 0:
            raise InvalidDataError(f"{CHECKSUM} is not in the footer of an encoded object")
        begin = len(data) - footer + at + len(_BEFORE)
        digits = hashlib.sha256(data).hexdigest().encode()
        data[begin : begin + len(digits)] = digits


def kept_checksum(data: bytes) -> str | None:
    """Return the checksum that an object holds; None where there is none."""
    at = data.rfind(_BEFORE)
    if at < 0:
        return None
    begin = at + len(_BEFORE)
    return data[begin : begin + len(BLANK_CHECKSUM)].decode("ascii", "replace")


def checksum_state(data: bytes) -> ChecksumState:
    """Return whether an object's bytes are those that were written."""
    kept = kept_checksum(data)
    if kept is None:
        return ChecksumState.ABSENT
    begin = data.rfind(_BEFORE) + len(_BEFORE)
    found = hashlib.sha256(memoryview(data)[:begin])
    found.update(BLANK_CHECKSUM.encode())
    found.update(memoryview(data)[begin + len(BLANK_CHECKSUM) :])
    return ChecksumState.RIGHT if found.hexdigest() == kept else ChecksumState.WRONG


def object_checksum(data: bytes) -> str:
    """Return the checksum that an object holds, or that of its bytes where it holds none."""
    return kept_checksum(data) or hashlib.sha256(data).hexdigest()


def rows_digest(rows: pl.DataFrame, key: Sequence[str]) -> str:
    """Return the SHA-256 of `rows` in the order of `key`: the same for any compression.

    A column that is wholly null counts as absent, so that a column added to a table later
    leaves the digest of older rows as it was. `key` is unique in `rows`, or there is no order.
    """
    if not is_rising(rows, key):
        rows = rows.sort([*key, *(name for name in rows.columns if name not in key)])
    digest = hashlib.sha256(f"{rows.height} rows\n".encode())
    for name in sorted(rows.columns):
        column = rows[name].rechunk()
        if column.null_count() < len(column):
            digest.update(_column_digest(name, column))
    return digest.hexdigest()


def is_rising(rows: pl.DataFrame, key: Sequence[str]) -> bool:
    """Return whether each row's key is above that of the row before it."""
    above, same = pl.lit(value=False), pl.lit(value=True)
    for name in key:
        before = pl.col(name).shift()
        above = above | (same & (pl.col(name) > before))
        same = same & (pl.col(name) == before)
    return bool(rows.select(above.slice(1).all()).item())


def _column_digest(name: str, column: pl.Series) -> bytes:
    """Return the digest of one column, from its values alone: no engine's own encoding."""
    nulls = column.is_null()
    if isinstance(column.dtype, pl.Binary):
        kind, lengths = "bytes", column.bin.size()
        values = b"".join(value for value in column if value is not None)
    elif isinstance(column.dtype, pl.String | pl.Enum | pl.Categorical):
        text = column.cast(pl.String)
        kind, lengths = "text", text.str.len_bytes()
        values = (text.str.join("").item() or "").encode()
    else:
        kind, lengths = _number_kind(column.dtype), None
        values = _numbers(column)
    digest = hashlib.sha256(f"{name} {kind}\n".encode())
    digest.update(np.packbits(nulls.to_numpy()).tobytes())
    if lengths is not None:
        digest.update(lengths.fill_null(0).cast(pl.Int64).to_numpy().astype("<i8").data)
    digest.update(values)
    return digest.digest()


def _number_kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"decimal {dtype.scale}"
    if dtype.is_float():
        return "float"
    return "instant" if isinstance(dtype, pl.Datetime) else "integer"


def _numbers(column: pl.Series) -> memoryview:
    """Return fixed-width values as 8 bytes each, little-endian; nulls are zeros."""
    if column.dtype.is_float():
        return column.cast(pl.Float64).fill_null(0.0).to_numpy().astype("<f8").data
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.cast_time_unit("us")
    whole = column.to_physical().cast(pl.Int64)
    return whole.fill_null(0).to_numpy().astype("<i8", copy=False).data
