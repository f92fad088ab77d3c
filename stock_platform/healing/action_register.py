"""The register of corporate actions: what is listed now, what left, and what adjusts prices.

A provider's answer is about a span of days and replaces that span: an action it no longer
lists has left (it stays in the register with the time), a moved or relabelled one leaves under
its old form and comes under its new one. Pure; the pipeline reads and writes.
"""

from datetime import date, datetime

import polars as pl

from stock_platform.domain.reference import (
    CORPORATE_ACTIONS,
    CORPORATE_ACTIONS_KEY,
    DIVIDEND_KINDS,
    DIVIDENDS,
    DIVIDENDS_KEY,
    SPLITS,
)
from stock_platform.errors import InvalidDataError
from stock_platform.healing.corporate_actions import ADJUSTING, judge_dividends, judge_splits

SHRINK_FROM = 20
"""An answer that lists less than half of this many known actions or more is no answer."""

_TOLD = ("split_from", "split_to", "paid_on", "amount", "currency", "frequency", "kind")


def register_of(splits: pl.DataFrame, dividends: pl.DataFrame) -> pl.DataFrame:
    """Return splits and dividends as rows of `CORPORATE_ACTIONS`, not judged yet.

    The id is made of what the action is, so that the same action listed twice is one row.
    """
    kinds = pl.col("kind").replace(DIVIDEND_KINDS)
    rows = [
        splits.rename({"executed_on": "effective_on"}).with_columns(action=pl.lit("split")),
        dividends.rename({"ex_on": "effective_on"}).with_columns(kinds, action=pl.lit("dividend")),
    ]
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in CORPORATE_ACTIONS.items()]
    frames = [
        frame.with_columns(c for c in missing if c.meta.output_name() not in frame.columns)
        for frame in rows
    ]
    parts = ["symbol", "effective_on", "split_from", "split_to", "amount", "currency", "kind"]
    return (
        pl.concat([frame.select(list(CORPORATE_ACTIONS)) for frame in frames])
        .with_columns(
            action_id=pl.concat_str(
                [
                    pl.col("action").str.slice(0, 1),
                    *(pl.col(part).cast(pl.String) for part in parts),
                ],
                separator="|",
                ignore_nulls=True,
            ),
            verdict=pl.lit("unjudged"),
            evidence=pl.lit(""),
        )
        .cast(CORPORATE_ACTIONS)
        .unique("action_id", keep="first", maintain_order=True)
    )


def replace_span(
    stored: pl.DataFrame,
    listed: pl.DataFrame,
    *,
    action: str,
    span: tuple[date, date],
    at: datetime,
) -> pl.DataFrame:
    """Return the register after the provider listed every `action` effective within `span`.

    What stays the same keeps its row. Raise `InvalidDataError` when the answer lists less
    than half of many known actions: such an answer is broken, not news.
    """
    concerned = (
        (pl.col("action") == action)
        & pl.col("left_at").is_null()
        & pl.col("effective_on").is_between(*span)
    )
    known = stored.filter(concerned)
    if known.height >= SHRINK_FROM and listed.height * 2 < known.height:
        raise InvalidDataError(
            f"the answer lists {listed.height} {action}s where {known.height} are known: "
            "the known ones are kept"
        )
    same = ["action_id", *_TOLD]
    gone = known.join(listed.select(same), on=same, how="anti", nulls_equal=True)
    new = listed.join(known.select(same), on=same, how="anti", nulls_equal=True)
    key = list(CORPORATE_ACTIONS_KEY)
    left = stored.join(gone.select(key), on=key, how="semi", nulls_equal=True).with_columns(
        left_at=pl.lit(at, CORPORATE_ACTIONS["left_at"])
    )
    kept = stored.join(gone.select(key), on=key, how="anti", nulls_equal=True)
    return pl.concat([kept, left, new.select(list(CORPORATE_ACTIONS))]).sort(
        "action", "symbol", "effective_on", "action_id", "observed_at"
    )


def judged(register: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return the register with the verdicts that daily bars as traded support."""
    current = register.filter(pl.col("left_at").is_null())
    splits = current.filter(pl.col("action") == "split").rename({"effective_on": "executed_on"})
    verdicts = [judge_splits(splits, days)]
    right = splits.join(
        verdicts[0].filter(pl.col("verdict").is_in(ADJUSTING)), on="action_id", how="semi"
    )
    dividends = current.filter(pl.col("action") == "dividend").rename({"effective_on": "ex_on"})
    verdicts.append(judge_dividends(dividends, right, days))
    names = ["verdict", "evidence", "moved_to"]
    fresh = pl.concat(verdicts).select("action_id", *names)
    return (
        register.join(fresh, on="action_id", how="left", suffix="_now", maintain_order="left")
        .with_columns(
            pl.when(pl.col("left_at").is_null() & pl.col("verdict_now").is_not_null())
            .then(pl.col(f"{name}_now"))
            .otherwise(pl.col(name))
            .alias(name)
            for name in names
        )
        .select(list(CORPORATE_ACTIONS))
    )


def adjusting_splits(register: pl.DataFrame) -> pl.DataFrame:
    """Return `SPLITS`: one row per symbol and day; several real splits of a day are multiplied."""
    return (
        _adjusting(register, "split")
        .group_by("symbol", pl.col("effective_on").alias("executed_on"))
        .agg(
            pl.col("split_from").product(),
            pl.col("split_to").product(),
            pl.col("provider").first(),
            pl.col("observed_at").max(),
        )
        .sort("symbol", "executed_on")
        .select(list(SPLITS))
        .cast(SPLITS)
    )


def adjusting_dividends(register: pl.DataFrame) -> pl.DataFrame:
    """Return `DIVIDENDS`: one row per symbol, ex-date and kind; several of a day are added."""
    return (
        _adjusting(register, "dividend")
        .rename({"effective_on": "ex_on"})
        .group_by(DIVIDENDS_KEY)
        .agg(
            pl.col("paid_on").min(),
            pl.col("amount").sum(),
            pl.col("currency").first(),
            pl.col("frequency").first(),
            pl.col("provider").first(),
            pl.col("observed_at").max(),
        )
        .sort(DIVIDENDS_KEY)
        .select(list(DIVIDENDS))
        .cast(DIVIDENDS)
    )


def _adjusting(register: pl.DataFrame, action: str) -> pl.DataFrame:
    return register.filter(
        (pl.col("action") == action)
        & pl.col("left_at").is_null()
        & pl.col("verdict").is_in(ADJUSTING)
    ).sort("action_id")
