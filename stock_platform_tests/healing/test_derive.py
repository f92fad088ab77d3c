"""Deriving: the evidence alone gives the ledger that was kept step by step."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.coverage import CONNECTIONS, SessionCoverage
from stock_platform.domain.responses import PROVIDER_RESPONSES, ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.healing.apply_response import apply_response
from stock_platform.healing.derive import DELIVERY, carry_history, derive, presume_empty
from stock_platform_tests.domain.examples import DAY, EXTENDED, GRID, HALF_DAY, REGULAR, at, bars_of
from stock_platform_tests.healing.responses import RULES, response

SYMBOLS = ["A", "B", "C"]


def connected(*spans: tuple[datetime, datetime], channel: str = "AM") -> pl.DataFrame:
    rows = [
        {
            "writer": "w",
            "connection": str(number),
            "channel": channel,
            "connected_at": since,
            "alive_until": until,
        }
        for number, (since, until) in enumerate(spans)
    ]
    return pl.DataFrame(rows, schema=CONNECTIONS)


def silent_slots(*spans: tuple[datetime, datetime], channel: str = "AM") -> list[int]:
    coverage = SessionCoverage.blank(GRID, ["A", "B"])
    presume_empty(coverage, connected(*spans, channel=channel))
    assert (coverage.bits["silent"][0] == coverage.bits["silent"][1]).all()
    return np.flatnonzero(coverage.bits["silent"][0]).tolist()


@pytest.mark.parametrize(
    ("since", "until", "slots"),
    [
        pytest.param("14:30", "14:32:10", [0, 1], id="from the opening"),
        pytest.param("14:30:01", "14:33:10", [1, 2], id="a second late: not the first minute"),
        pytest.param("14:30", "14:32:09", [0], id="gone before the bars were delivered"),
        pytest.param("14:30:30", "14:31:30", [], id="no whole minute"),
        pytest.param("13:00", "14:30:10", [], id="before the opening"),
        pytest.param("13:00", "14:31:10", [0], id="since long before"),
        pytest.param("20:58", "23:00", [388, 389], id="over the close"),
        pytest.param("21:00", "23:00", [], id="after the close"),
        pytest.param("15:00", "15:00", [], id="for no time at all"),
    ],
)
def test_only_whole_connected_minutes_are_silent(since: str, until: str, slots: list[int]) -> None:
    assert silent_slots((at(since), at(until))) == slots


def test_two_connections_that_meet_within_a_minute_do_not_make_it_whole() -> None:
    spans = (at("14:30"), at("14:32:40")), (at("14:32:41"), at("14:35:10"))

    assert silent_slots(*spans) == [0, 1, 3, 4]


@pytest.mark.parametrize("channel", ["T", "Q", "FMV"])
def test_a_connection_on_another_channel_says_nothing_of_bars(channel: str) -> None:
    assert silent_slots((at("14:00"), at("22:00")), channel=channel) == []


def test_without_a_connection_nothing_is_silent() -> None:
    assert silent_slots() == []


def test_a_night_of_connection_makes_the_extended_half_day_silent() -> None:
    coverage = SessionCoverage.blank(EXTENDED.grid(HALF_DAY), ["A"])

    presume_empty(coverage, connected((at("00:00", HALF_DAY), at("23:59", HALF_DAY))))

    assert coverage.totals()["silent"] == coverage.totals()["expected"] == 780


CELLS = st.sets(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 40)), max_size=6)
SPANS = st.tuples(st.integers(-3, 45), st.integers(-3, 45)).map(sorted).map(tuple)


@st.composite
def answers_in_order(draw: st.DrawFn) -> list[ProviderResponse]:
    """Return answers of all kinds, asked one after the other; broken bars are never delivered."""
    times = sorted(draw(st.sets(st.integers(0, 100), max_size=4)))
    return [draw(answers_at(at("14:30") + timedelta(minutes=minute))) for minute in times]


@st.composite
def answers_at(draw: st.DrawFn, asked_at: datetime) -> ProviderResponse:
    first, last = draw(SPANS)
    cells = [(symbol, slot) for symbol, slot in draw(CELLS) if first <= slot <= last]
    revision = draw(st.sampled_from(Revision))
    # Whether a rejected bar of the record was filled later shows in the bars, not in the order.
    brings = [] if revision is Revision.FILL else cells
    return response(
        draw(st.none() | st.sets(st.sampled_from(SYMBOLS), min_size=1).map(sorted)),
        slots=(first, last),
        asked_at=asked_at,
        bars=[(symbol, slot) for symbol, slot in brings if slot % 2],
        broken=[(symbol, slot) for symbol, slot in brings if not slot % 2],
        outcome=draw(st.sampled_from(["ok", "ok", "refused", "failed"])),
        detail=draw(st.sampled_from(["", "HTTP 503"])),
        revision=revision,
        provider=draw(st.sampled_from(["massive", "finnhub"])),
    )


def record(responses: list[ProviderResponse]) -> pl.DataFrame:
    return pl.DataFrame(
        [row for one in responses for row in one.to_rows()], schema=PROVIDER_RESPONSES
    )


@given(said=answers_in_order(), streamed=CELLS, cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_evidence_alone_gives_the_ledger_kept_step_by_step(
    said: list[ProviderResponse], streamed: set[tuple[str, int]], cut: int, seed: int
) -> None:
    live = bars_of((symbol, slot) for symbol, slot in streamed if slot % 2)
    connections = connected((at("14:30"), at("14:30") + timedelta(minutes=cut) + DELIVERY))
    kept = SessionCoverage.blank(GRID, SYMBOLS)
    presume_empty(kept, connections)
    kept.set_observed(live)
    for one in said:
        apply_response(kept, one, RULES)
    delivered = [one.bars for one in said if one.outcome == "ok"]

    derived = derive(
        GRID,
        SYMBOLS,
        bars=pl.concat([live, *delivered]).sample(fraction=1, shuffle=True, seed=seed),
        connections=connections,
        responses=record(said).sample(fraction=1, shuffle=True, seed=seed),
        policy=RULES,
    )

    assert carry_history(derived, kept).to_frame().equals(kept.to_frame())


def test_a_session_without_evidence_is_missing_as_a_whole() -> None:
    coverage = derive(
        GRID,
        SYMBOLS,
        bars=bars_of([]),
        connections=connected(),
        responses=pl.DataFrame(schema=PROVIDER_RESPONSES),
        policy=RULES,
    )

    assert coverage.totals()["missing"] == 3 * 390
    assert coverage.authority.tolist() == ["none"] * 3


def test_a_heal_is_remembered_for_symbols_that_stay_and_bars_that_stay() -> None:
    before = SessionCoverage.blank(GRID, ["A", "B", "C"])
    before.set_observed(bars_of([("A", 1), ("B", 2), ("C", 3)]), healed=True)
    fresh = SessionCoverage.blank(GRID, ["B", "C", "D"])
    fresh.set_observed(bars_of([("B", 2), ("D", 4)]))

    carried = carry_history(fresh, before)

    assert np.argwhere(carried.bits["healed"]).tolist() == [[0, 2]]


@pytest.mark.parametrize("before", [None, SessionCoverage.blank(EXTENDED.grid(DAY), ["A"])])
def test_without_a_history_of_this_grid_no_heal_is_remembered(
    before: SessionCoverage | None,
) -> None:
    fresh = SessionCoverage.blank(REGULAR.grid(DAY), ["A"])
    fresh.set_observed(bars_of([("A", 2)]))

    assert not carry_history(fresh, before).bits["healed"].any()
