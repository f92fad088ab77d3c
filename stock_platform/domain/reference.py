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
        "figi": pl.String(),
        "share_class_figi": pl.String(),
        "cik": pl.String(),
    }
)
"""One row per symbol and day of request. Nullable: everything but symbol, provider, as_of.
`exchange` is the MIC; a symbol is listed on a session within [listed_on, delisted_on).
`figi` is the composite FIGI. Objects of earlier releases end with `as_of`."""

SYMBOLS_KEY = ("symbol", "as_of")
SYMBOLS_ADDED = ("figi", "share_class_figi", "cik")
"""Columns that objects of earlier releases lack."""

UNEXPECTED_SYMBOLS = pl.Schema(
    {
        "symbol": pl.String(),
        "bars": pl.Int64(),
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""One row per symbol that had bars on a session and was not expected there: from then on it is."""

SECURITIES = pl.Schema(
    {
        "security": pl.String(),
        "symbol": pl.String(),
        "figi": pl.String(),
        "share_class_figi": pl.String(),
        "cik": pl.String(),
        "name": pl.String(),
        "type": pl.String(),
        "listed_on": pl.Date(),
        "delisted_on": pl.Date(),
        "first_seen_on": pl.Date(),
        "requested_on": pl.Date(),
        "requested_symbol": pl.String(),
        "provider": pl.String(),
    }
)
"""One row per security that a snapshot ever listed, with its newest symbol.

`security` is the composite FIGI, else that of the share class, else the symbol. `listed_on` and
`delisted_on` are as the provider's details have them, right or wrong. `requested_on` and
`requested_symbol` are when and under which symbol its details were requested last."""

SECURITIES_KEY = ("security",)

SYMBOL_CHANGES = pl.Schema(
    {
        "security": pl.String(),
        "symbol": pl.String(),
        "changed_on": pl.Date(),
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
    }
)
"""One row per change of a security's symbol, as a provider lists them: `symbol` since
`changed_on`. Kept as it came; `symbol_spans` holds what the lists and bars make of it."""

SYMBOL_CHANGES_KEY = ("security", "symbol", "changed_on")

SYMBOL_SPANS = pl.Schema(
    {
        "symbol": pl.String(),
        "security": pl.String(),
        "from_on": pl.Date(),
        "to_on": pl.Date(),
        "from_evidence": pl.String(),
        "to_evidence": pl.String(),
        "seen_on": pl.Date(),
    }
)
"""One row per time in which a security had a symbol: on the days [from_on, to_on).

`from_on` null: since before the first snapshot; `to_on` null: still. The evidence of each end
is `list`, `events`, `details`, `delisting` or `bars`. `seen_on` is the newest snapshot that
lists it (null: known from events alone)."""

SYMBOL_SPANS_KEY = ("symbol", "security", "from_on")

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
`kind` is one of the values of `DIVIDEND_KINDS`. Nullable: paid_on, currency, frequency."""

DIVIDENDS_KEY = ("symbol", "ex_on", "kind")


CORPORATE_ACTIONS = pl.Schema(
    {
        "action": pl.String(),
        "action_id": pl.String(),
        "symbol": pl.String(),
        "effective_on": pl.Date(),
        "split_from": pl.Float64(),
        "split_to": pl.Float64(),
        "paid_on": pl.Date(),
        "amount": PRICE,
        "currency": pl.String(),
        "frequency": pl.Int64(),
        "kind": pl.String(),
        "provider": pl.String(),
        "observed_at": TIMESTAMP_US,
        "verdict": pl.String(),
        "evidence": pl.String(),
        "moved_to": pl.Date(),
        "left_at": TIMESTAMP_US,
    }
)
"""Every split and dividend a provider ever listed, with what the bars say of it.

`action` is split or dividend, `effective_on` the day a split is executed or the ex-date.
`verdict` is confirmed, unjudged, misdated, contradicted or duplicate; only the first two adjust
prices. `left_at` is when the provider no longer listed it (null: it still does). The tables
`splits` and `dividends` hold what adjusts, one row a symbol and day."""

CORPORATE_ACTIONS_KEY = ("action_id", "observed_at")

DIVIDEND_KINDS = {
    "CD": "regular",
    "recurring": "regular",
    "SC": "special",
    "LT": "long_term_gain",
    "ST": "short_term_gain",
}
"""Providers' names of the kinds of dividends and ours; any other is kept in lower case."""
