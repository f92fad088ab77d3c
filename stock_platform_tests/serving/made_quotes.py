"""Quotes for tests: one row of RAW_QUOTES, with what the test is about changed."""

from datetime import UTC, datetime, timedelta

import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)


def made_quote(symbol: str = "GOOG", *, seconds: float = 0, **changed: object) -> pl.DataFrame:
    """Return a quote stamped `seconds` after `NOON`."""
    quoted_at = NOON + timedelta(seconds=seconds)
    values = dict.fromkeys(RAW_QUOTES, None) | {
        "symbol": symbol,
        "minute": quoted_at.replace(second=0, microsecond=0),
        "price": "132.06",
        "high": "133.5",
        "low": "127",
        "quoted_at": quoted_at,
        "provider": "finnhub",
        "observed_at": quoted_at,
    }
    row = {name: [value] for name, value in (values | changed).items()}
    return pl.DataFrame(row).cast(RAW_QUOTES)
