"""Merging bars: any order and any repetition of the same rows give one table."""

from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars
from stock_platform.domain.revision import Revision
from stock_platform_tests.domain.examples import at, bars_of

SCHEMA = bars.MINUTE_BARS
FEW_PRICES = st.sampled_from([Decimal("10.5"), Decimal("11"), Decimal("11.000001")])
ROWS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B", "a"]),
        "minute": st.integers(0, 2).map(lambda n: at("14:30") + timedelta(minutes=n)),
        "open": FEW_PRICES,
        "high": FEW_PRICES,
        "low": FEW_PRICES,
        "close": FEW_PRICES,
        "vwap": st.none() | FEW_PRICES,
        "volume": FEW_PRICES,
        "transactions": st.none() | st.integers(0, 2),
        "provider": st.sampled_from(["massive", "massive_flatfiles", "finnhub"]),
        "revision": st.sampled_from([revision.value for revision in Revision]),
        "observed_at": st.integers(0, 1).map(lambda n: at("15:00") + timedelta(hours=n)),
    }
)
FRAMES = st.lists(ROWS, max_size=12).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA))
RANK = ["revision", "observed_at", *bars.VALUE_COLUMNS, "provider"]


def rank(row: dict[str, object]) -> tuple[tuple[bool, object], ...]:
    """Order rows of one key as the contract does: a null is the weakest claim."""
    second = row["provider"] == "finnhub" or row["revision"] == "fill"
    revision = Revision(str(row["revision"])).rank
    claims = [not second, revision, *(row[name] for name in RANK[1:])]
    return tuple((claim is not None, claim or 0) for claim in claims)


def model(*frames: pl.DataFrame) -> pl.DataFrame:
    claims: dict[tuple[object, object], list[dict[str, object]]] = {}
    for row in sorted((row for frame in frames for row in frame.rows(named=True)), key=rank):
        claims.setdefault((row["symbol"], row["minute"]), []).insert(0, row)
    return pl.DataFrame([lent(claims[key]) for key in sorted(claims)], schema=SCHEMA)


def lent(claims: list[dict[str, object]]) -> dict[str, object]:
    """Return the best claim with what it lacks from the next one of the same bar."""
    same = [row for row in claims if all(row[n] == claims[0][n] for n in bars.PRICE_COLUMNS)]
    given = {
        name: next((row[name] for row in same if row[name] is not None), None)
        for name in bars.OPTIONAL
    }
    return claims[0] | given


@given(FRAMES, FRAMES)
def test_merging_keeps_the_strongest_claim_of_each_key(
    one: pl.DataFrame, other: pl.DataFrame
) -> None:
    assert bars.merge(SCHEMA, one, other).equals(model(one, other))


@given(FRAMES, FRAMES)
def test_the_order_of_frames_does_not_matter(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert bars.merge(SCHEMA, one, other).equals(bars.merge(SCHEMA, other, one))


@pytest.mark.parametrize("provider", ["massive_flatfiles", "massive"])
@pytest.mark.parametrize("revision", ["live", "rest", "final"])
def test_what_the_record_lacks_of_the_same_bar_is_not_lost(provider: str, revision: str) -> None:
    with_vwap = bars_of([("A", 0)]).with_columns(revision=pl.lit(revision)).cast(SCHEMA)
    without = with_vwap.with_columns(
        vwap=pl.lit(None),
        transactions=pl.lit(None),
        provider=pl.lit(provider),
        revision=pl.lit("final"),
        observed_at=pl.lit(at("23:00"), bars.TIMESTAMP_US),
    ).cast(SCHEMA)

    [row] = bars.merge(SCHEMA, with_vwap, without).rows(named=True)

    assert (row["vwap"], row["transactions"]) == (Decimal("10.5"), 7)
    assert (row["provider"], row["revision"]) == (provider, "final")


@given(FRAMES)
def test_merging_again_changes_nothing(frame: pl.DataFrame) -> None:
    once = bars.merge(SCHEMA, frame)

    assert bars.merge(SCHEMA, once, frame, once).equals(once)


@given(FRAMES)
def test_a_key_is_unique_and_sorted_after_merging(frame: pl.DataFrame) -> None:
    keys = bars.merge(SCHEMA, frame).select("symbol", "minute").rows()

    assert keys == sorted(set(frame.select("symbol", "minute").rows()))


def test_a_better_revision_wins_however_old_it_is() -> None:
    final = bars_of([("A", 0)]).with_columns(
        revision=pl.lit("final"), observed_at=pl.lit(at("12:00"))
    )
    live = bars_of([("A", 0)]).with_columns(revision=pl.lit("live"), close=pl.lit(Decimal(12)))

    [row] = bars.merge(SCHEMA, live.cast(SCHEMA), final.cast(SCHEMA)).rows(named=True)

    assert (row["revision"], row["close"]) == ("final", Decimal(11))


@pytest.mark.parametrize("record", list(Revision)[1:])
@pytest.mark.parametrize("other", [("finnhub", "correction"), ("acme", "fill")])
def test_a_second_source_never_overrules_the_record(
    record: Revision, other: tuple[str, str]
) -> None:
    ours = bars_of([("A", 0)]).with_columns(revision=pl.lit(record.value)).cast(SCHEMA)
    theirs = ours.with_columns(
        provider=pl.lit(other[0]),
        revision=pl.lit(other[1]),
        observed_at=pl.lit(at("23:00"), bars.TIMESTAMP_US),
    ).cast(SCHEMA)

    assert bars.merge(SCHEMA, theirs, ours)["provider"].to_list() == ["massive"]


def test_a_resent_live_bar_replaces_the_earlier_one() -> None:
    first = bars_of([("A", 0)]).with_columns(revision=pl.lit("live")).cast(SCHEMA)
    again = first.with_columns(
        close=pl.lit(Decimal(12), bars.PRICE), observed_at=pl.lit(at("15:04"), bars.TIMESTAMP_US)
    )

    [row] = bars.merge(SCHEMA, again, first).rows(named=True)

    assert row["close"] == Decimal(12)


def test_daily_bars_merge_by_session() -> None:
    day = bars_of([("A", 0)]).with_columns(session=pl.col("minute").dt.date()).drop("minute")

    merged = bars.merge(bars.DAILY_BARS, day, day)

    assert merged.equals(day.select(list(bars.DAILY_BARS)))


def test_a_later_look_at_the_same_bar_changes_no_value() -> None:
    stored = bars_of([("A", 0), ("B", 0)])
    later = stored.with_columns(observed_at=pl.lit(at("18:00"), bars.TIMESTAMP_US))

    assert _values(bars.merge(SCHEMA, stored, later)).equals(_values(stored))


def test_another_price_changes_a_value() -> None:
    stored = bars_of([("A", 0), ("B", 0)])
    later = stored.with_columns(
        close=pl.lit(Decimal(12), bars.PRICE), observed_at=pl.lit(at("18:00"), bars.TIMESTAMP_US)
    )

    assert not _values(bars.merge(SCHEMA, stored, later)).equals(_values(stored))


def _values(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(name for name in SCHEMA if name != "observed_at")
