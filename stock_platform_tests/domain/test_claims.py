"""Claims in any order, any parts and any repetition give one table, at every instant."""

from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars, claims
from stock_platform.domain.revision import Revision
from stock_platform_tests.domain.examples import at

SCHEMA = bars.MINUTE_BARS
HISTORY = claims.history_schema(SCHEMA)
PRICE = st.sampled_from([Decimal(10), Decimal(11)])
BAR = {
    "symbol": st.sampled_from(["A", "B"]),
    "minute": st.integers(0, 1).map(lambda n: at("14:30") + timedelta(minutes=n)),
    "provider": st.sampled_from(["massive", "massive_flatfiles", "finnhub"]),
    "revision": st.sampled_from([revision.value for revision in Revision]),
    "observed_at": st.integers(0, 3).map(lambda n: at("15:00") + timedelta(hours=n)),
}
A_BAR = st.fixed_dictionaries(
    {
        **BAR,
        "close": PRICE,
        "vwap": st.none() | PRICE,
        "transactions": st.none() | st.integers(1, 2),
        "retracted": st.just(value=False),
    }
)
A_RETRACTION = st.fixed_dictionaries(
    {
        **BAR,
        **dict.fromkeys(("close", "vwap", "transactions"), st.none()),
        "retracted": st.just(value=True),
    }
)
CLAIMS = st.lists(A_BAR | A_BAR | A_RETRACTION, max_size=10)


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    full = [
        {
            **row,
            **dict.fromkeys(("open", "high", "low", "volume"), row["close"]),
        }
        for row in rows
    ]
    return pl.DataFrame(full, schema=HISTORY)


def rank(row: dict[str, object]) -> tuple[object, ...]:
    """Order claims of one key as the contract does; a null is the weakest."""
    second = row["provider"] == "finnhub" or row["revision"] == "fill"
    claim = [not second, Revision(str(row["revision"])).rank, row["observed_at"]]
    values = [row[name] for name in (*bars.VALUE_COLUMNS, "provider")]
    return (*claim, *((value is not None, value or 0) for value in values))


def model(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that follow from claims, as the contract has it."""
    by_key: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in rows.rows(named=True):
        by_key.setdefault((row["symbol"], row["minute"]), []).append(row)
    found = []
    for key in sorted(by_key):  # type: ignore[type-var]
        ordered = sorted(by_key[key], key=rank, reverse=True)
        bar = dict(ordered[0])
        same = [r for r in ordered if all(r[n] == bar[n] for n in bars.PRICE_COLUMNS)]
        for name in bars.OPTIONAL:
            bar[name] = next((r[name] for r in same if r[name] is not None), None)
        found += [] if bar["retracted"] else [bar]
    return pl.DataFrame(found, schema=HISTORY).select(list(SCHEMA))


def all_of(settled: claims.Settled) -> pl.DataFrame:
    """Return every claim that was kept."""
    return pl.concat([claims.of_stored(SCHEMA, settled.bars), settled.others.select(list(HISTORY))])


@given(CLAIMS)
def test_the_best_claim_wins_and_gets_what_it_lacks(rows: list[dict[str, object]]) -> None:
    assert claims.best(SCHEMA, frame(rows)).equals(model(frame(rows)))


@given(CLAIMS, st.randoms())
def test_the_order_of_claims_does_not_matter(
    rows: list[dict[str, object]], random: st.DrawFn
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert claims.best(SCHEMA, frame(shuffled)).equals(claims.best(SCHEMA, frame(rows)))


@given(CLAIMS, CLAIMS, CLAIMS)
def test_the_grouping_of_claims_does_not_matter(
    one: list[dict[str, object]], two: list[dict[str, object]], three: list[dict[str, object]]
) -> None:
    """What was merged and kept before stands for the claims it was made of."""
    first = all_of(claims.settle(SCHEMA, frame(one + two)))
    left = pl.concat([first, frame(three)])
    second = all_of(claims.settle(SCHEMA, frame(two + three)))
    right = pl.concat([frame(one), second])

    assert claims.best(SCHEMA, left).equals(model(frame(one + two + three)))
    assert claims.best(SCHEMA, right).equals(model(frame(one + two + three)))


@given(CLAIMS)
def test_settling_again_changes_nothing(rows: list[dict[str, object]]) -> None:
    once = claims.settle(SCHEMA, frame(rows))

    again = claims.settle(SCHEMA, pl.concat([all_of(once), frame(rows)]), once.bars)

    assert again.bars.equals(once.bars)


@given(CLAIMS, CLAIMS, st.integers(-1, 4).map(lambda n: at("15:30") + timedelta(hours=n)))
def test_as_of_an_instant_only_what_was_observed_by_then_counts(
    one: list[dict[str, object]], two: list[dict[str, object]], instant: datetime
) -> None:
    before = claims.settle(SCHEMA, frame(one))
    after = claims.settle(SCHEMA, pl.concat([all_of(before), frame(two)]), before.bars)
    known = frame(one + two).filter(pl.col("observed_at") <= instant)

    assert claims.as_of(SCHEMA, after.bars, after.others, instant).equals(model(known))


def test_a_confirmed_bar_costs_no_row_of_history() -> None:
    live = {**_bar("live", "massive", 1), "vwap": Decimal("10.5"), "transactions": 3}
    final = {**_bar("final", "massive_flatfiles", 9), "vwap": None, "transactions": 3}

    settled = claims.settle(SCHEMA, frame([live, final]))

    [bar] = settled.bars.rows(named=True)
    assert (bar["vwap"], bar["revision"], bar["claim_revision"]) == (
        Decimal("10.5"),
        "final",
        "live",
    )
    assert settled.others.height == 0


@pytest.mark.parametrize("close", [Decimal(11), None])
def test_vwap_stays_with_another_bar(close: Decimal | None) -> None:
    live = {**_bar("live", "massive", 1), "vwap": Decimal("10.5"), "transactions": 3}
    final = {**_bar("final", "massive_flatfiles", 9), "close": close or Decimal(12)}

    assert claims.best(SCHEMA, frame([live, final]))["vwap"].to_list() == [None]


def _bar(revision: str, provider: str, hour: int) -> dict[str, object]:
    return {
        "symbol": "A",
        "minute": at("14:30"),
        "close": Decimal(10),
        "vwap": None,
        "transactions": None,
        "provider": provider,
        "revision": revision,
        "observed_at": at("14:31") + timedelta(hours=hour),
        "retracted": False,
    }
