"""Claims: all that was ever said of a key's bar, and the bar that follows from it.

The best claim of a key is its bar; what it lacks in vwap and transactions comes from the
best claim that has it for the same bar. A retraction is a claim that there is no bar. The
claims are what is kept: which claim wins, also as of an earlier instant, follows from
them in whatever order they came, so that merging in parts is merging at once.

The best claims are stored as the table of bars, the others as its history. A claim with
the very values of the bar it lost to (a streamed bar that the final record confirms) is
kept in four columns beside that bar, which cost next to nothing.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from stock_platform.domain import bars
from stock_platform.domain.bars import (
    DAILY_BARS,
    MINUTE_BARS,
    OPTIONAL,
    PRICE_COLUMNS,
    VALUE_COLUMNS,
)
from stock_platform.domain.columns import TIMESTAMP_US
from stock_platform.domain.revision import DTYPE

_RETRACTED: dict[str, pl.DataType] = {"retracted": pl.Boolean()}
_HISTORY: dict[str, pl.DataType] = {
    **_RETRACTED,
    "reason": pl.String(),
    "superseded_at": TIMESTAMP_US,
}
MINUTE_BARS_HISTORY = pl.Schema({**MINUTE_BARS, **_HISTORY})
"""One row is a claim of a minute that is not the bar of `minute_bars` (or no longer).

`retracted`: the claim is that there is no bar, and it has no values. `superseded_at` is when
what then won was observed, and null for a retraction that stands."""
DAILY_BARS_HISTORY = pl.Schema({**DAILY_BARS, **_HISTORY})
"""The same of daily bars."""

BESIDE: dict[str, pl.DataType] = {
    "claim_lacks": pl.Int8(),
    "claim_provider": pl.String(),
    "claim_revision": DTYPE,
    "claim_observed_at": TIMESTAMP_US,
}
"""Stored beside a bar, null where there is nothing to say: which of vwap (1) and
transactions (2) were lent to it, and an earlier claim that has the values of the bar."""

_BITS = {"vwap": 1, "transactions": 2}
_PROVENANCE = ("provider", "revision", "observed_at")


@dataclass(frozen=True, slots=True)
class Settled:
    """Claims divided: the bars that follow, with `BESIDE`, and the history of the others."""

    bars: pl.DataFrame
    others: pl.DataFrame
    keys: pl.Series
    """The integer keys of the bars, rising."""


def history_schema(schema: pl.Schema) -> pl.Schema:
    """Return the columns of claims of bars with `schema`."""
    return pl.Schema({**schema, **_RETRACTED})


def of_bars(schema: pl.Schema, rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars as the claims they are."""
    return rows.select(*schema, pl.lit(value=False).alias("retracted")).cast(history_schema(schema))


def retractions(
    schema: pl.Schema, keys: pl.DataFrame, *, provider: str, revision: str, at: datetime
) -> pl.DataFrame:
    """Return the claims of a provider, requested `at`, that there is no bar of `keys`."""
    time = list(schema)[:2]
    return keys.select(
        *time,
        *(pl.lit(None, schema[name]).alias(name) for name in VALUE_COLUMNS),
        pl.lit(provider).alias("provider"),
        pl.lit(revision, DTYPE).alias("revision"),
        pl.lit(at, TIMESTAMP_US).alias("observed_at"),
        pl.lit(value=True).alias("retracted"),
    )


def with_beside(rows: pl.DataFrame) -> pl.DataFrame:
    """Return stored bars with the columns of `BESIDE`, null where an object has none."""
    absent = [name for name in BESIDE if name not in rows.columns]
    return rows.with_columns(pl.lit(None, BESIDE[name]).alias(name) for name in absent)


def of_stored(schema: pl.Schema, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the claims that stored bars (with `BESIDE`) hold: the bars' own and those beside."""
    beside = rows.filter(pl.col("claim_observed_at").is_not_null()).with_columns(
        pl.col(f"claim_{name}").alias(name) for name in _PROVENANCE
    )
    return pl.concat([of_bars(schema, own(rows)), of_bars(schema, beside)])


def own(rows: pl.DataFrame) -> pl.DataFrame:
    """Return stored bars without what was lent to them."""
    lacks = pl.col("claim_lacks").fill_null(0)
    return rows.with_columns(
        pl.when(lacks & bit == 0).then(name).alias(name) for name, bit in _BITS.items()
    )


def settle(
    schema: pl.Schema,
    claims: pl.DataFrame,
    before: pl.DataFrame | None = None,
    *,
    keys: pl.Series | None = None,
) -> Settled:
    """Divide claims into the bars that follow and the others; any order, any repetition.

    `before` are stored bars of these keys: one whose claim still wins keeps what stands
    beside it. A claim that can never matter again is dropped: another one, better and no
    later, has all that it has. `keys` are the integer keys of the claims, where known.
    """
    names = list(schema)
    rows = claims.select(list(history_schema(schema))).rechunk()
    if keys is None:
        keys = bars.integer_keys(rows, names[0], names[1])
    ranks = bars.ranked(rows, pl.int_range(rows.height, eager=True, dtype=pl.UInt32), keys)
    lead = ranks.filter("leads")["at"]
    lead = lead.filter(~rows["retracted"].gather(lead))
    found = rows.select(names)[lead]
    lent: dict[str, pl.Series] = {}
    for name in OPTIONAL:
        lenders = bars.lenders(rows, ranks, name)
        source = pl.int_range(rows.height, eager=True, dtype=pl.UInt32)
        source = source.scatter(lenders["leader"], lenders["at"]).gather(lead)
        lent[name] = source != lead
        found = found.with_columns(rows[name].gather(source).alias(name))
    lacks = (lent["vwap"].cast(pl.Int8) * 1 + lent["transactions"].cast(pl.Int8) * 2).cast(pl.Int8)
    found = found.with_columns(lacks.alias("claim_lacks"))
    found = found.with_columns(pl.when(pl.col("claim_lacks") != 0).then("claim_lacks"))
    kept = ranks.filter(_matters(rows, ranks)).select("at", "leader", "observed_at")
    beside = _beside(schema, _Offers(rows, kept, lead), found, before)
    claim = rows.select(pl.col(name).gather(beside).alias(f"claim_{name}") for name in _PROVENANCE)
    left = kept.filter(~pl.col("at").is_in(beside.drop_nulls().implode()))
    stands = ranks.filter(pl.col("leads") & rows["retracted"].gather(ranks["at"]))
    return Settled(
        pl.concat([found, claim], how="horizontal").select(*schema, *BESIDE),
        _as_history(rows, pl.concat([left, stands.select(left.columns)])),
        keys.gather(lead),
    )


def _as_history(rows: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Return claims (`at`) with why and when each lost to the `leader` of its key."""
    claim = rows[kept["at"]]
    taken_back = rows["retracted"].gather(kept["leader"])
    lost_to = pl.when(taken_back).then(pl.lit("retracted")).otherwise(pl.lit("superseded"))
    taken = pl.when(kept["leader"] == kept["at"]).then(pl.lit("retraction"))
    taken = taken.otherwise(pl.lit("restored"))
    superseded_at = rows["observed_at"].gather(kept["leader"]).alias("superseded_at")
    return claim.with_columns(
        pl.when("retracted").then(taken).otherwise(lost_to).alias("reason"),
        pl.when(kept["leader"] != kept["at"]).then(superseded_at).alias("superseded_at"),
    )


def best(schema: pl.Schema, claims: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that follow from claims, sorted by key."""
    return settle(schema, claims).bars.select(list(schema)).sort(list(schema)[:2])


def as_of(
    schema: pl.Schema, stored: pl.DataFrame, others: pl.DataFrame, instant: datetime
) -> pl.DataFrame:
    """Return the bars that followed from what had been observed at `instant`, sorted by key.

    `stored` are bars (with `BESIDE`), `others` the claims of their history.
    """
    key = list(schema)[:2]
    rows = with_beside(stored)
    contested = rows.join(others.select(key).unique(), on=key, how="semi")
    plain = rows.join(others.select(key).unique(), on=key, how="anti")
    claims = pl.concat([of_stored(schema, contested), others.select(list(history_schema(schema)))])
    now = plain.filter(pl.col("observed_at") <= instant)
    earlier = plain.filter(
        (pl.col("observed_at") > instant) & (pl.col("claim_observed_at") <= instant)
    ).with_columns(pl.col(f"claim_{name}").alias(name) for name in _PROVENANCE)
    # Lent by a claim that came later: not known yet.
    unlent = own(now.filter(pl.col("claim_observed_at") > instant))
    now = now.filter((pl.col("claim_observed_at") <= instant).fill_null(value=True))
    known = best(schema, claims.filter(pl.col("observed_at") <= instant))
    parts = [part.select(list(schema)) for part in (now, unlent, earlier, known)]
    return pl.concat(parts).sort(key)


def _matters(rows: pl.DataFrame, ranks: pl.DataFrame) -> pl.Series:
    """Return which claims, of those that do not lead, some instant or some other bar needs."""
    observed = ranks["observed_at"].to_physical().to_numpy()
    first = ranks["leads"].to_numpy()
    earliest = _earliest_better(observed, first)
    shadowed = pl.Series(earliest <= observed)
    given = [rows[name].gather(ranks["at"]).is_not_null() for name in OPTIONAL]
    given_by_leader = [rows[name].gather(ranks["leader"]).is_not_null() for name in OPTIONAL]
    prices = rows.select(PRICE_COLUMNS)
    covered = bars.same_rows(prices[ranks["at"]], prices[ranks["leader"]])
    for own_given, leader in zip(given, given_by_leader, strict=True):
        covered &= ~own_given | leader
    covered &= rows["observed_at"].gather(ranks["leader"]) <= ranks["observed_at"]
    lends = (given[0] | given[1]) & ~covered
    return ~ranks["leads"] & (~shadowed | lends)


def _earliest_better(observed: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return for each row, best first within its key, when a better one was first observed."""
    never = np.iinfo(np.int64).max
    earliest = np.full(len(observed), never, dtype=np.int64)
    at = np.flatnonzero(~first)
    # One round per place within a key: few keys have more than three claims.
    while len(at):
        earliest[at] = np.minimum(earliest[at - 1], observed[at - 1])
        settled = first[at - 1]
        first = first.copy()
        first[at[settled]] = True
        at = at[~settled]
    return earliest


@dataclass(frozen=True, slots=True)
class _Offers:
    """Claims that are kept, as positions `at` in `rows`, and the positions of the bars' own."""

    rows: pl.DataFrame
    kept: pl.DataFrame
    lead: pl.Series


def _beside(
    schema: pl.Schema, offers: _Offers, found: pl.DataFrame, before: pl.DataFrame | None
) -> pl.Series:
    """Return for each bar of `found` the claim to stand beside it: the earliest of its values.

    A bar whose claim won before keeps what stands beside it, and gets nothing new: it need
    not be written again.
    """
    rows, kept = offers.rows, offers.kept
    place = np.full(rows.height, -1, dtype=np.int64)
    place[offers.lead.to_numpy()] = np.arange(found.height)
    bar_of = pl.Series(place[kept["leader"].to_numpy()])
    kept = kept.with_columns(bar_of.alias("bar")).filter(bar_of >= 0)
    values = found.select(VALUE_COLUMNS)[kept["bar"]]
    kept = kept.filter(bars.same_rows(rows.select(VALUE_COLUMNS)[kept["at"]], values))
    if before is not None and before.height:
        stays = _claims_beside(schema, found, before)[kept["bar"]]
        claim = rows.select(_PROVENANCE)[kept["at"]]
        same = bars.same_rows(claim, stays.select(_PROVENANCE))
        kept = kept.filter(~stays["stood"] | same)
    if kept["bar"].is_duplicated().any():
        kept = kept.sort("bar", "observed_at", "at").unique("bar", keep="first")
    nothing = pl.repeat(None, found.height, dtype=pl.UInt32, eager=True)
    return nothing.scatter(kept["bar"], kept["at"])


def _claims_beside(schema: pl.Schema, found: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return what stood beside each bar of `found`, and whether its claim won before."""
    key, names = list(schema)[:2], [f"was_{name}" for name in _PROVENANCE]
    stood = with_beside(before).select(
        *key,
        *(pl.col(name).alias(f"was_{name}") for name in _PROVENANCE),
        *(pl.col(f"claim_{name}").alias(name) for name in _PROVENANCE),
    )
    if found.height == stood.height and found.select(key).equals(stood.select(key)):
        aligned = stood
    else:
        aligned = found.select(key).join(stood, on=key, how="left", maintain_order="left")
    own_claim = aligned.select(
        pl.col(was).alias(name) for was, name in zip(names, _PROVENANCE, strict=True)
    )
    won = bars.same_rows(own_claim, found.select(_PROVENANCE))
    return aligned.with_columns(won.alias("stood"))
