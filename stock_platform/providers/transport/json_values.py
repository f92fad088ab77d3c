"""From foreign bytes to values: JSON whose numbers stay text, and instants of any unit.

A binary float cannot hold every DECIMAL(18,6), so numbers with a fraction stay
the text the vendor sent until polars reads them. The standard library's reader
is used because vendors written in Python send `NaN`, which is no JSON: one such
number must cost its row, not the whole answer.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.errors import InvalidDataError

Json = dict[str, object] | list[object] | str | int | bool | None
"""What `decode` returns: as JSON, but numbers with a fraction or an exponent are `str`."""

_DIGITS_MAX = 30


def decode(body: bytes) -> Json:
    """Read JSON, or raise `InvalidDataError`; numbers that are no plain integer stay text."""
    try:
        return json.loads(body, parse_float=str, parse_int=_integer, parse_constant=str)
    except (ValueError, RecursionError):
        reason = f"{len(body)} bytes that are no JSON"
    # Outside of the handler: the decoder's exception carries the whole payload.
    raise InvalidDataError(f"expected JSON, found {reason}")


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS_MAX else text


def record(value: object, what: str) -> dict[str, object]:
    """Accept a JSON object, or raise `InvalidDataError` naming `what` it was expected to be."""
    if not isinstance(value, dict):
        raise InvalidDataError(f"expected {what} to be an object, found {type(value).__name__}")
    return value


def records(value: object, what: str) -> list[dict[str, object]]:
    """Accept a list of JSON objects; None is an empty list (vendors leave the key out)."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidDataError(f"expected {what} to be a list, found {type(value).__name__}")
    return [record(item, f"an item of {what}") for item in value]


def text(value: object) -> str | None:
    """Return a value as text that every library accepts; lone surrogates become `?`."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value).encode("utf-8", "replace").decode()


def number(value: object) -> str | None:
    """Return a JSON number, or text that stands for one, as text; anything else reads as none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return "not a number"
    return text(value)


def numbers(rows: Iterable[Mapping[str, object]], key: str) -> pl.Series:
    """Collect one key of many rows as text, for `domain.bars.validate_bars`."""
    return pl.Series(key, [number(row.get(key)) for row in rows], dtype=pl.String)


def texts(rows: Iterable[Mapping[str, object]], key: str) -> pl.Series:
    """Collect one key of many rows as text; a value that is no string is null."""
    values = [row.get(key) for row in rows]
    return pl.Series(
        key, [text(value) if isinstance(value, str) else None for value in values], dtype=pl.String
    )


def instant(value: object) -> datetime | None:
    """Read a Unix time whose unit shows in its digits: s, ms, us or ns.

    Vendors document one unit and send another (the same field came in all three
    of ms, us and ns), so only the size of the number is believed.
    """
    if isinstance(value, str):
        try:
            value = int(float(value)) if not value.lstrip("-").isdigit() else int(value)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    digits = len(str(value))
    unit = next((unit for most, unit in _UNITS if digits <= most), None)
    if unit is None:
        return None
    micros = value * 1_000_000 // unit
    if micros >= _FAR:
        return None
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


# Beyond what calendars and nanoseconds reach: no instant of a trade.
_FAR = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
# Seconds have 9 to 11 digits between 1973 and 5138; each finer unit has three more.
_UNITS = ((11, 1), (14, 1_000), (17, 1_000_000), (20, 1_000_000_000))


def instants(values: Iterable[object]) -> pl.Series:
    """Read many Unix times; what is none is null."""
    return pl.Series("instant", [instant(value) for value in values], dtype=TIMESTAMP_US)
