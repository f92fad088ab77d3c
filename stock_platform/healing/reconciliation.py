"""How the final record of a session differs from what was streamed."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS, PRICE, TIMESTAMP_US
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision

DIFFERENCES = pl.Schema(
    {
        "symbol": pl.String(),
        "minute": TIMESTAMP_US,
        "kind": pl.String(),
        "live_close": PRICE,
        "final_close": PRICE,
        "live_volume": PRICE,
        "final_volume": PRICE,
        "observed_at": TIMESTAMP_US,
    }
)
"""One row per bar that differs; kind is `added` (only the record has it), `removed` (only the
stream had it) or `changed`. Key (symbol, minute)."""

RECONCILIATION = pl.Schema(
    {
        "symbol": pl.String(),
        "live": pl.Int64(),
        "added": pl.Int64(),
        "removed": pl.Int64(),
        "changed": pl.Int64(),
        "close_change_max": pl.Float64(),
        "volume_change": PRICE,
        "observed_at": TIMESTAMP_US,
    }
)
"""One row per symbol of a session: the bars there were before (`live`), how many the record
added, did not have and had otherwise, the largest relative change of a close, and the volume
the record has more."""

_KEY = ["symbol", "minute"]
_VALUES = ("open", "high", "low", "close", "volume")
_SPANS = pl.Schema(
    {
        "symbol": pl.String(),
        "first": TIMESTAMP_US,
        "last": TIMESTAMP_US,
        "settled_before": TIMESTAMP_US,
    }
)
_IS_LIVE = pl.col("revision").cast(pl.String) == "live"


def against_responses(
    before: pl.DataFrame,
    responses: Sequence[ProviderResponse],
    expected: Collection[str],
    *,
    settle: timedelta,
) -> pl.DataFrame:
    """Compare a session's bars `before` with what providers responded about it.

    Only minutes and symbols that a response covers are compared. A streamed bar that
    a response lacks counts as removed once its minute had settled, `settle` after it,
    and never when the record's own bar was rejected; a second source is no record. A
    session of which nothing was streamed differs in nothing. Return a frame of `DIFFERENCES`.
    """
    answered = [
        response
        for response in responses
        if response.outcome == "ok" and response.revision is not Revision.FILL
    ]
    if not answered or not before.filter(_IS_LIVE).height:
        return pl.DataFrame(schema=DIFFERENCES)
    wanted = pl.Series("symbol", sorted(expected), dtype=pl.String)
    record = pl.concat(
        [pl.DataFrame(schema=MINUTE_BARS), *(response.bars for response in answered)]
    )
    record = record.filter(pl.col("symbol").is_in(wanted.implode())).unique(_KEY)
    covered = before.join(_spans(answered, wanted, settle), on="symbol").filter(
        pl.col("minute").is_between("first", "last")
    )
    absent = covered.join(record, on=_KEY, how="anti").filter(
        _IS_LIVE & (pl.col("minute") > pl.col("settled_before"))
    )
    left_out = pl.concat([absent.select(_KEY), _rejected(answered, covered)])
    covered = covered.select(list(MINUTE_BARS)).unique(_KEY)
    return differences(covered.join(left_out, on=_KEY, how="anti"), record)


def _spans(
    responses: Sequence[ProviderResponse], expected: pl.Series, settle: timedelta
) -> pl.DataFrame:
    rows = [
        (symbol, response.first, response.last, response.asked_at - settle)
        for response in responses
        for symbol in (expected if response.symbols is None else response.symbols)
    ]
    return pl.DataFrame(rows, schema=_SPANS, orient="row")


def _rejected(responses: Sequence[ProviderResponse], bars: pl.DataFrame) -> pl.DataFrame:
    """Return the (symbol, minute) of `bars` whose bar of record came but could not be right."""
    rows = [
        (symbol, *minutes)
        for response in responses
        for symbol, minutes, _ in response.rejected_intervals()
    ]
    schema = {name: _SPANS[name] for name in ("symbol", "first", "last")}
    spoiled = pl.DataFrame(rows, schema=schema, orient="row")
    found = bars.select(_KEY).join(spoiled, on="symbol")
    return found.filter(pl.col("minute").is_between("first", "last")).select(_KEY)


def differences(before: pl.DataFrame, record: pl.DataFrame) -> pl.DataFrame:
    """Compare a session's bars `before` a response with the `record` it brought.

    Both are frames of `MINUTE_BARS`; only bars of revision live are compared, as
    what came later was not streamed. Return a frame of `DIFFERENCES`.
    """
    streamed = before.filter(_IS_LIVE)
    known = before.filter(~_IS_LIVE).select(_KEY)
    both = record.join(known, on=_KEY, how="anti").join(
        streamed, on=_KEY, how="full", suffix="_live", coalesce=True
    )
    same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_live") for name in _VALUES)
    kind = (
        pl.when(pl.col("close_live").is_null())
        .then(pl.lit("added"))
        .when(pl.col("close").is_null())
        .then(pl.lit("removed"))
        .when(~same)
        .then(pl.lit("changed"))
    )
    return (
        both.with_columns(kind.alias("kind"))
        .filter(pl.col("kind").is_not_null())
        .select(
            "symbol",
            "minute",
            "kind",
            pl.col("close_live").alias("live_close"),
            pl.col("close").alias("final_close"),
            pl.col("volume_live").alias("live_volume"),
            pl.col("volume").alias("final_volume"),
            pl.coalesce("observed_at", "observed_at_live").alias("observed_at"),
        )
        .cast(DIFFERENCES)
    )


def summarize(found: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Count a session's `DIFFERENCES` per symbol; `bars` are the session's bars now.

    Return a frame of `RECONCILIATION`, a row for every symbol that has bars.
    """
    change = (pl.col("final_close") / pl.col("live_close") - 1).cast(pl.Float64).abs()
    per_symbol = found.group_by("symbol").agg(
        *(
            (pl.col("kind") == kind).sum().cast(pl.Int64).alias(kind)
            for kind in ("added", "removed", "changed")
        ),
        change.max().alias("close_change_max"),
        (pl.col("final_volume").fill_null(0) - pl.col("live_volume").fill_null(0))
        .sum()
        .alias("volume_change"),
        pl.col("observed_at").max(),
    )
    counted = bars.group_by("symbol").agg(pl.len().cast(pl.Int64).alias("bars"))
    return (
        counted.join(per_symbol, on="symbol", how="left")
        .with_columns(pl.col("added", "removed", "changed", "volume_change").fill_null(0))
        .with_columns((pl.col("bars") - pl.col("added")).alias("live"))
        .select(list(RECONCILIATION))
        .cast(RECONCILIATION)
        .sort("symbol")
    )
