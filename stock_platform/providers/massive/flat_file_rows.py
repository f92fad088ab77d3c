"""Read the CSV of a flat file into bars: 1.8M rows in about two seconds, digit for digit.

The columns are ticker, volume, open, CLOSE, high, low, window_start (ns),
transactions - read by name, since the order surprises. Tickers such as NA,
NULL and TRUE are companies, so no text means null.
"""

import zlib
from datetime import date, datetime

import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.rejections import midnight, reject
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import NEW_YORK, MinuteGrid
from stock_platform.errors import InvalidDataError

NAME = "massive_flatfiles"
COLUMNS = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
INFLATED_BYTES_MAX = 4 * 1024**3
"""A day of minute bars inflates to 160 MB."""
_GZIP_MAGIC = b"\x1f\x8b"
_MONEY = ("volume", "open", "close", "high", "low")
_FAST: dict[str, pl.DataType] = {
    **dict.fromkeys(COLUMNS, pl.String()),
    **dict.fromkeys(_MONEY, bars.PRICE),
    "window_start": pl.Int64(),
    "transactions": pl.Int64(),
}
_TEXT: dict[str, pl.DataType] = dict.fromkeys(COLUMNS, pl.String())


def parse_minute_aggs(
    data: bytes, *, session: date, observed_at: datetime, grid: MinuteGrid | None = None
) -> bars.Validated:
    """Read a minute_aggs_v1 file (gzip or plain); with `grid` keep its expected minutes only.

    Minutes off the grid - extended hours - are left out, not rejected: they
    are right and were not requested. Rows of another day are rejected.
    """
    raw = _provenance(_read(data), observed_at).with_columns(
        minute=pl.from_epoch("window_start", "ns")
        .dt.replace_time_zone("UTC")
        .cast(bars.TIMESTAMP_US)
    )
    if grid is not None:
        in_grid = (pl.col("minute") >= grid.opens_at) & (pl.col("minute") < grid.closes_at)
        other_day = _day_of("minute") != session
        raw = raw.filter((in_grid | other_day).fill_null(value=True))
    sifted = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")
    own = _day_of("minute") == session
    strays = reject(
        sifted.bars.filter(~own), "of another session", dataset="minute_bars", at=pl.col("minute")
    )
    return bars.Validated(
        bars.merge(bars.MINUTE_BARS, sifted.bars.filter(own)), pl.concat([sifted.rejected, strays])
    )


def parse_day_aggs(data: bytes, *, session: date, observed_at: datetime) -> bars.Validated:
    """Read a day_aggs_v1 file, whose window_start is 00:00 New York of the session."""
    raw = _provenance(_read(data), observed_at).with_columns(
        at=pl.from_epoch("window_start", "ns").dt.replace_time_zone("UTC")
    )
    raw = raw.with_columns(session=_day_of("at"))
    sifted = bars.validate_bars(raw, bars.DAILY_BARS, dataset="daily_bars")
    own = pl.col("session") == session
    strays = reject(
        sifted.bars.filter(~own),
        "of another session",
        dataset="daily_bars",
        at=midnight(pl.col("session")),
    )
    return bars.Validated(
        bars.merge(bars.DAILY_BARS, sifted.bars.filter(own)), pl.concat([sifted.rejected, strays])
    )


def _day_of(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(NEW_YORK.key).dt.date()


def _provenance(rows: pl.DataFrame, observed_at: datetime) -> pl.DataFrame:
    return rows.rename({"ticker": "symbol"}).with_columns(
        provider=pl.lit(NAME),
        revision=pl.lit(Revision.FINAL.value),
        observed_at=pl.lit(observed_at),
    )


def _read(data: bytes) -> pl.DataFrame:
    text = _inflate(data)
    header = text[: text.find(b"\n") if b"\n" in text else len(text)].decode("ascii", "replace")
    names = header.strip().split(",")
    if sorted(names) != sorted(COLUMNS):
        raise InvalidDataError(f"expected the columns {','.join(COLUMNS)}, found {header[:120]!a}")
    try:
        return _read_csv(text, {name: _FAST[name] for name in names})
    except pl.exceptions.PolarsError:
        # One number that is none must cost its row, not the file: read again as text.
        return _read_text(text, names)


def _read_text(text: bytes, names: list[str]) -> pl.DataFrame:
    try:
        rows = _read_csv(text, {name: _TEXT[name] for name in names})
    except pl.exceptions.PolarsError as error:
        reason = type(error).__name__
    else:
        return rows.with_columns(pl.col("window_start").cast(pl.Int64, strict=False))
    raise InvalidDataError(f"expected a CSV of {len(names)} columns, found otherwise: {reason}")


def _read_csv(text: bytes, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    # These files quote nothing, and a lone quote makes polars 2.1 panic instead of fail.
    return pl.read_csv(text, schema=schema, quote_char=None)


def _inflate(data: bytes) -> bytes:
    if data[:2] != _GZIP_MAGIC:
        return data
    parts: list[bytes] = []
    room = INFLATED_BYTES_MAX
    while data:
        member = zlib.decompressobj(31)
        try:
            part = member.decompress(data, room)
        except zlib.error:
            raise InvalidDataError("the flat file's gzip is damaged") from None
        parts.append(part)
        room -= len(part)
        if room <= 0:
            raise InvalidDataError(
                f"the flat file inflates to more than {INFLATED_BYTES_MAX} bytes"
            )
        if not member.eof:
            raise InvalidDataError("the flat file's gzip ends early")
        data = member.unused_data
    return b"".join(parts)
