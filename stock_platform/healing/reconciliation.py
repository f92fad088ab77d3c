"""How the final record of a session differs from what was streamed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import MINUTE_BARS, PRICE, TIMESTAMP_US
from stock_platform.domain.claims import history_schema, retractions
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid

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

WITHDRAWN_MAX = 3
"""Bars of a symbol that one response may take back, however few it has."""
WITHDRAWN_SHARE_OF_SYMBOL_MAX = 0.05
"""Or this share of the bars it has of the symbol: busted trades are single minutes."""
WITHDRAWN_RUN_MAX = 5
"""Bars in a row: a longer run is a hole of the response."""
WITHDRAWN_SHARE_MAX = 0.01
"""Of the bars of a response about everybody; more is a damaged file."""

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


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Bars the lake holds and the settled record does not: to be retracted, or held back."""

    claims: pl.DataFrame
    bars: pl.DataFrame
    """The bars that `claims` take back, as they are now."""
    doubtful: int = 0
    """Bars that are kept, because so many at once are rather a hole of the answer."""


def withdrawn(
    held: pl.DataFrame,
    responses: Sequence[ProviderResponse],
    grid: MinuteGrid,
    *,
    settle: timedelta,
) -> Withdrawn:
    """Find the bars of `held` that a complete response of the record no longer has.

    Complete is a final response about the whole session, requested once it had settled. A
    bar that came and was rejected is not taken back, nor one of a second source, which
    fills holes of the record. Few and single bars are: a response without bars of the
    symbol, a run of more than `WITHDRAWN_RUN_MAX` or the tail of a symbol, and more than
    `WITHDRAWN_MAX` of its bars are held back, as is a response about everybody that would
    take back `WITHDRAWN_SHARE_MAX` of all bars.
    """
    nothing = pl.DataFrame(schema=history_schema(MINUTE_BARS))
    found, doubtful = [(nothing, held.clear())], 0
    for response in responses:
        if not _is_complete(response, grid, settle):
            continue
        one = _held_by_response(held, response)
        lacks = one.join(response.bars, on=_KEY, how="anti")
        lacks = lacks.join(_rejected([response], lacks), on=_KEY, how="anti")
        sure = _believable(one, lacks, response)
        doubtful += lacks.height - sure.height
        claims = retractions(
            MINUTE_BARS,
            sure,
            provider=response.provider,
            revision=response.revision.value,
            at=response.asked_at,
        )
        found.append((claims, sure))
    return Withdrawn(
        claims=pl.concat([claims for claims, _ in found]),
        bars=pl.concat([bars for _, bars in found]).unique(_KEY),
        doubtful=doubtful,
    )


def _is_complete(response: ProviderResponse, grid: MinuteGrid, settle: timedelta) -> bool:
    whole = response.first <= grid.opens_at
    whole = whole and response.last >= grid.closes_at - timedelta(minutes=1)
    settled = response.asked_at >= grid.closes_at + settle
    final = response.revision.rank >= Revision.FINAL.rank
    return response.outcome == "ok" and whole and settled and final


def _held_by_response(held: pl.DataFrame, response: ProviderResponse) -> pl.DataFrame:
    """Return the bars of the record that a response speaks about and can outrank."""
    spoken_of = pl.col("minute").is_between(response.first, response.last)
    if response.symbols is not None:
        spoken_of &= pl.col("symbol").is_in(response.symbols)
    revision = pl.col("revision").cast(pl.String)
    weaker = [each.value for each in Revision if each.rank < response.revision.rank]
    weaker = [each for each in weaker if each != Revision.FILL.value]
    same = (revision == response.revision.value) & (pl.col("observed_at") < response.asked_at)
    return held.filter(spoken_of & (revision.is_in(weaker) | same))


def _believable(
    held: pl.DataFrame, lacks: pl.DataFrame, response: ProviderResponse
) -> pl.DataFrame:
    """Return those of the bars a response `lacks` that it may take back."""
    if not lacks.height or not response.bars.height:
        return lacks.clear()
    if response.symbols is None and lacks.height > max(
        WITHDRAWN_MAX, WITHDRAWN_SHARE_MAX * response.bars.height
    ):
        return lacks.clear()
    recorded = response.bars.group_by("symbol").agg(
        pl.len().alias("recorded"), pl.col("minute").max().alias("newest")
    )
    gone = lacks.select(*_KEY, pl.lit(value=True).alias("gone"))
    ordered = (
        held.select(_KEY)
        .join(gone, on=_KEY, how="left")
        .with_columns(pl.col("gone").fill_null(value=False))
        .sort(_KEY)
        .with_columns(pl.struct("symbol", "gone").rle_id().alias("run"))
        .with_columns(pl.len().over("run").alias("in_run"))
        .filter("gone")
        .join(recorded, on="symbol", how="left")
        .with_columns(pl.len().over("symbol").alias("lacking"))
    )
    tail = (pl.col("minute") > pl.col("newest")).sum().over("symbol").fill_null(0)
    enough = pl.col("lacking") <= pl.max_horizontal(
        WITHDRAWN_MAX, pl.col("recorded").fill_null(0) * WITHDRAWN_SHARE_OF_SYMBOL_MAX
    )
    sure = enough & (pl.col("in_run") <= WITHDRAWN_RUN_MAX) & (tail <= 1)
    # A file of everybody may have no bar at all of a symbol; a call about it may not.
    sure &= pl.col("recorded").is_not_null() | pl.lit(response.symbols is None)
    return lacks.join(ordered.filter(sure), on=_KEY, how="semi")


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


def removed(bars: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    """Return bars that were taken back as `DIFFERENCES`; `at` are the retractions."""
    when = at.select(*_KEY, pl.col("observed_at").alias("retracted_at")).unique(_KEY)
    return (
        bars.join(when, on=_KEY)
        .select(
            *_KEY,
            pl.lit("removed").alias("kind"),
            pl.col("close").alias("live_close"),
            pl.lit(None, PRICE).alias("final_close"),
            pl.col("volume").alias("live_volume"),
            pl.lit(None, PRICE).alias("final_volume"),
            pl.col("retracted_at").alias("observed_at"),
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
    # What was removed is retracted, and still one of the bars there were before.
    gone = found.filter(pl.col("kind") == "removed").join(bars, on=_KEY, how="anti")
    gone = gone.group_by("symbol").agg(pl.len().cast(pl.Int64).alias("gone"))
    return (
        counted.join(gone, on="symbol", how="full", coalesce=True)
        .join(per_symbol, on="symbol", how="left")
        .with_columns(
            pl.col("bars", "gone", "added", "removed", "changed", "volume_change").fill_null(0)
        )
        .with_columns((pl.col("bars") + pl.col("gone") - pl.col("added")).alias("live"))
        .select(list(RECONCILIATION))
        .cast(RECONCILIATION)
        .sort("symbol")
    )
