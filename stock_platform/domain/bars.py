"""Bars: their columns, what makes one acceptable, and how two become one.

A bar is a fact with provenance. Prices are as traded, in US dollars; volume is
in shares (fractional since 2026-02). Both are DECIMAL(18,6): exact for what
vendors send and for Postgres NUMERIC.
"""

from dataclasses import dataclass

import polars as pl

from stock_platform.domain import revision
from stock_platform.domain.columns import PRICE, TIMESTAMP_US
from stock_platform.domain.rejections import midnight, reject
from stock_platform.domain.symbols import is_symbol_expr

PRICE_MIN = 0.000_001
"""The smallest price a column of six decimals can hold."""
PRICE_MAX = 100_000_000.0
"""BRK.A trades below one million dollars; anything above this is a broken feed."""
VOLUME_MAX = 100_000_000_000.0
CONTRADICTION = "the answer has another row of this key with other values"

_VALUES: dict[str, pl.DataType] = {
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "vwap": PRICE,
    "volume": PRICE,
    "transactions": pl.Int64(),
}
_PROVENANCE: dict[str, pl.DataType] = {
    "provider": pl.String(),
    "revision": revision.DTYPE,
    "observed_at": TIMESTAMP_US,
}

MINUTE_BARS = pl.Schema({"symbol": pl.String(), "minute": TIMESTAMP_US, **_VALUES, **_PROVENANCE})
"""`minute` is the START of the bar. Nullable: vwap, transactions. Key (symbol, minute)."""

DAILY_BARS = pl.Schema({"symbol": pl.String(), "session": pl.Date(), **_VALUES, **_PROVENANCE})
"""One row per symbol and session of XNYS. Nullable: vwap, transactions."""

VALUE_COLUMNS = tuple(_VALUES)
OPTIONAL = ("vwap", "transactions")
"""Columns that a source may not have: merged by column."""
PRICE_COLUMNS = tuple(name for name in VALUE_COLUMNS if name not in OPTIONAL)
"""What must agree for one bar to lend another its optional columns."""


@dataclass(frozen=True, slots=True)
class Validated:
    """What became of a frame of raw rows: every row is in exactly one of the two."""

    bars: pl.DataFrame
    rejected: pl.DataFrame


def validate_bars(raw: pl.DataFrame, schema: pl.Schema, *, dataset: str) -> Validated:
    """Split raw rows into bars of `schema` and rows refused with a reason.

    `raw` has the columns of `schema` with numbers as Float64, Decimal or text
    (a missing vwap or transactions column is null). Text that is no number, NaN,
    infinite, negative and absurdly large values, high below low, a minute that
    is not a multiple of 60 s and an impossible symbol each name their reason. Of rows that
    repeat each other one is kept; of rows of one key with different values none is believed.
    A VWAP of 0 is none.
    """
    missing = [pl.lit(None).alias(name) for name in schema if name not in raw.columns]
    rows = raw.with_columns(*missing).select(list(schema))
    numbers = rows.select(pl.col(name).cast(pl.Float64, strict=False) for name in VALUE_COLUMNS)
    given = rows.select(pl.col(name).is_not_null().alias(f"{name}_given") for name in OPTIONAL)
    reason = (
        rows.select("symbol", *_time_columns(schema))
        .with_columns(numbers)
        .with_columns(given)
        .select(_reason(schema).alias("reason"))["reason"]
    )
    ok = reason.is_null()
    # A count may come as "82132.0", which is a number and yet no text of an integer.
    counts = pl.Series("transactions", numbers["transactions"].filter(ok).cast(pl.Int64))
    bars = rows.filter(ok).with_columns(counts).cast(schema)
    bars = bars.with_columns(pl.when(pl.col("vwap") != 0).then("vwap"))
    bad = rows.filter(~ok)
    rejected = reject(bad, reason.filter(~ok), dataset=dataset, at=_at(schema))
    bars, contradicting = _agreeing(bars, list(schema)[:2])
    if contradicting.height:
        refused = reject(contradicting, CONTRADICTION, dataset=dataset, at=_at(schema))
        rejected = pl.concat([rejected, refused])
    return Validated(bars, rejected)


def _agreeing(bars: pl.DataFrame, key: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the bars once each, and those of a key whose rows differ."""
    symbol, time = pl.col(key[0]), pl.col(key[1])
    same = symbol == symbol.shift()
    above = (symbol > symbol.shift()) | (same & (time > time.shift()))
    if bars.select(above.slice(1).all()).item():
        # As vendors send them: by symbol and time. Any other order is looked at whole.
        return bars, bars.clear()
    repeated = bars.filter(pl.struct(key).is_duplicated())
    different = pl.struct(VALUE_COLUMNS).n_unique().over(key) > 1
    contradicting = repeated.filter(different)
    agreeing = bars.join(contradicting, on=key, how="anti", maintain_order="left")
    return agreeing.unique(key, keep="first", maintain_order=True), contradicting


def merge(schema: pl.Schema, *frames: pl.DataFrame) -> pl.DataFrame:
    """Unite frames of bars, keeping the best row of each key, sorted by key.

    Precedence is a total order - authority of the provider, revision, observed_at, then
    the values - so the result is the same for any order and any repetition of `frames`.
    A vwap or transactions that the best row lacks comes from the best row that has it and
    the same open, high, low, close and volume. What loses here is gone: `claims` keeps it.
    """
    names = list(schema)
    rows = pl.concat([frame.select(names).cast(schema) for frame in frames])
    # Only keys are sorted, as one integer each, and only rows that share a key are ranked:
    # sorting a session of 3.1M rows by all columns takes seven times as long.
    keys = integer_keys(rows, names[0], names[1])
    order = keys.arg_sort()
    sorted_keys = keys.gather(order)
    repeats = sorted_keys == sorted_keys.shift(1)
    source: dict[str, pl.Series] = dict.fromkeys(OPTIONAL, order)
    if repeats.any():
        shared = (repeats | repeats.shift(-1)).fill_null(value=False)
        ranks = ranked(rows, order.filter(shared), sorted_keys.filter(shared))
        order = pl.concat([order.filter(~shared), ranks.filter("leads")["at"]])
        order = order.gather(keys.gather(order).arg_sort())
        source = {name: _lent(rows, ranks, name, order) for name in OPTIONAL}
    # Column by column: many live parts would otherwise be copied whole once more.
    return pl.DataFrame([rows[name].rechunk().gather(source.get(name, order)) for name in names])


def integer_keys(rows: pl.DataFrame, symbol_column: str, time_column: str) -> pl.Series:
    """Return one integer per row that sorts as (symbol, time) does."""
    names, instants = rows[symbol_column].rechunk(), rows[time_column].rechunk()
    times = instants.unique().sort()
    rank = names.cast(pl.Enum(names.unique().sort())).to_physical().cast(pl.Int64)
    return rank * max(1, len(times)) + times.search_sorted(instants).cast(pl.Int64)


def ranked(rows: pl.DataFrame, at: pl.Series, keys: pl.Series) -> pl.DataFrame:
    """Return the positions `at` of `rows` by key, and of one key the best row first.

    Columns: key, at, rank, observed_at, `leads` (the best row of its key) and leader, the
    position in `rows` of that one.
    """
    found = (
        rows.select("provider", "revision", "observed_at")
        .rechunk()[at]
        .select(revision.rank_of_rows().alias("rank"), "observed_at")
        .with_columns(keys.alias("key"), at.alias("at"))
        .sort("key", "rank", "observed_at", descending=[False, True, True], nulls_last=True)
    )
    found = _with_ties_settled(rows, found)
    leads = pl.col("key").ne_missing(pl.col("key").shift(1))
    return found.with_columns(leads.alias("leads")).with_columns(
        pl.when("leads").then("at").forward_fill().alias("leader")
    )


def _with_ties_settled(rows: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Order by their values the rows of a key with as good a claim and other values."""
    claim = ("key", "rank", "observed_at")
    tied = found.select(
        pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in claim)
    ).to_series()
    tied &= pl.int_range(found.height, eager=True) > 0
    if not tied.any():
        return found
    values = rows.select(*VALUE_COLUMNS, "provider")
    rivals = found.filter(tied)
    before = found["at"].shift(1).filter(tied)
    disputed = rivals["key"].filter(~same_rows(values[rivals["at"]], values[before])).unique()
    if not disputed.len():
        return found
    runs = (tied | tied.shift(-1)).fill_null(value=False) & found["key"].is_in(disputed.implode())
    settled = found.filter(runs)
    names = [*claim, *values.columns]
    settled = pl.concat([settled, values[settled["at"]]], how="horizontal").sort(
        names, descending=[False] + [True] * (len(names) - 1), nulls_last=True
    )
    # The runs stand where they stood: only the order within each of them changes.
    at = found["at"].clone().scatter(runs.arg_true(), settled["at"])
    return found.with_columns(at.alias("at"))


def same_rows(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """Return for each row whether two frames of the same columns agree; null equals null."""
    return pl.select(
        pl.all_horizontal(one[name].eq_missing(other[name]) for name in one.columns).alias("_")
    )["_"]


def lenders(rows: pl.DataFrame, ranks: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return, as leader and at, the best row that lends column `name` to each leader without it.

    Only a row with the same open, high, low, close and volume lends.
    """
    column = rows[name]
    wants = column.gather(ranks["leader"]).is_null() & column.gather(ranks["at"]).is_not_null()
    if not wants.any():
        return ranks.select("leader", "at").clear()
    offers = ranks.filter(wants)
    prices = rows.select(PRICE_COLUMNS)
    same = same_rows(prices[offers["at"]], prices[offers["leader"]])
    found = offers.filter(same).select("leader", "at")
    return found.unique("leader", keep="first", maintain_order=True)


def _lent(rows: pl.DataFrame, ranks: pl.DataFrame, name: str, order: pl.Series) -> pl.Series:
    """Return the positions that `order` takes column `name` from."""
    found = lenders(rows, ranks, name)
    if not found.height:
        return order
    source = pl.int_range(rows.height, eager=True, dtype=pl.UInt32)
    return source.scatter(found["leader"], found["at"]).gather(order)


def _time_columns(schema: pl.Schema) -> list[str]:
    return [name for name in ("minute", "session") if name in schema]


def _at(schema: pl.Schema) -> pl.Expr:
    if "minute" in schema:
        return pl.col("minute").cast(TIMESTAMP_US, strict=False)
    return midnight(pl.col("session"))


def _reason(schema: pl.Schema) -> pl.Expr:
    prices = ("open", "high", "low", "close")
    wrong: list[tuple[pl.Expr, str]] = [
        (~is_symbol_expr(pl.col("symbol").cast(pl.String)), "the symbol is not acceptable"),
        *((~_finite(name), f"{name} is not a number") for name in (*prices, "volume")),
        *((pl.col(name) < PRICE_MIN, f"{name} is not positive") for name in prices),
        *((pl.col(name) > PRICE_MAX, f"{name} is absurdly large") for name in prices),
        (pl.col("volume") < 0, "volume is negative"),
        (pl.col("volume") > VOLUME_MAX, "volume is absurdly large"),
        (_given("vwap") & ~_within("vwap", PRICE_MAX), "vwap is not a possible price"),
        (
            _given("transactions") & ~_whole("transactions", VOLUME_MAX),
            "transactions is not a possible count",
        ),
        (pl.col("high") < pl.max_horizontal("open", "close", "low"), "high is not the highest"),
        (pl.col("low") > pl.min_horizontal("open", "close", "high"), "low is not the lowest"),
    ]
    if "minute" in schema:
        minute = pl.col("minute").cast(TIMESTAMP_US)
        wrong.insert(1, (minute.is_null(), "the minute is missing"))
        wrong.insert(2, (minute != minute.dt.truncate("1m"), "not aligned to the minute"))
    else:
        wrong.insert(1, (pl.col("session").is_null(), "the session is missing"))
    chain = pl.when(wrong[0][0]).then(pl.lit(wrong[0][1]))
    for condition, reason in wrong[1:]:
        chain = chain.when(condition).then(pl.lit(reason))
    return chain.otherwise(None)


def _finite(name: str) -> pl.Expr:
    return pl.col(name).is_finite().fill_null(value=False)


def _given(name: str) -> pl.Expr:
    # Text that is no number is given, although it casts to null.
    return pl.col(f"{name}_given")


def _within(name: str, bound: float) -> pl.Expr:
    value = pl.col(name)
    return (value.is_finite() & (value >= 0) & (value <= bound)).fill_null(value=False)


def _whole(name: str, bound: float) -> pl.Expr:
    return _within(name, bound) & (pl.col(name) == pl.col(name).floor()).fill_null(value=False)
