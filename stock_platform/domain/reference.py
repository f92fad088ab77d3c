"""Reference data: which securities exist, and what a corporate action did to them.

Kept as the provider sent it, with its name and time. Prices in the lake stay as
traded; `SPLITS` and `DIVIDENDS` are what adjustment on read is computed from.
"""

import polars as pl

from stock_platform.domain.bars import PRICE, TIMESTAMP_US

SYMBOLS = pl.Schema(
    {
        "symbol": pl.String(),
        "name": pl.String(),
        "type": pl.String(),
        "exchange": pl.String(),
        "listed_on": pl.Date(),
        "delisted_on": pl.Date(),
        "provider": pl.String(),
        "as_of": pl.Date(),
    }
)
"""One row per symbol and day of request. Nullable: everything but symbol, provider, as_of.
`exchange` is the MIC; a symbol is listed on a session within [listed_on, delisted_on)."""

SYMBOLS_KEY = ("symbol", "as_of")

SPLITS = pl.Schema(
    {
        "symbol": pl.String(),
        "executed_on": pl.Date(),
        "split_from": pl.Float64(),
        "split_to": pl.Float64(),
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""`split_from` old shares became `split_to` new ones before the pre-market of `executed_on`:
a 7-for-1 split is from 1 to 7, a 1-for-20 reverse split from 20 to 1."""

SPLITS_KEY = ("symbol", "executed_on")

DIVIDENDS = pl.Schema(
    {
        "symbol": pl.String(),
        "ex_on": pl.Date(),
        "paid_on": pl.Date(),
        "amount": PRICE,
        "currency": pl.String(),
        "frequency": pl.Int64(),
        "kind": pl.String(),
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""Cash per share as declared (not split-adjusted), due to who held before `ex_on`.
`kind` is the provider's letter code (CD, SC, LT, ST). Nullable: paid_on, currency, frequency."""

DIVIDENDS_KEY = ("symbol", "ex_on", "kind")
