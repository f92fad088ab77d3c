"""Laws of spans, whatever the lists hold: property tests over random listings and snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.domain.reference import SYMBOLS
from stock_platform.pipelines.universe.expected import is_alive
from stock_platform.pipelines.universe.listings import FLICKER, listings_of
from stock_platform.pipelines.universe.spans import Evidence, spans_of

FIRST = date(2026, 6, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(40)]
NAMES, FIGIS = ("A", "B", "C"), ("BBG1", "BBG2", None)

Listed = Mapping[date, Mapping[str, str | None]]


@dataclass(frozen=True)
class Case:
    """Who is listed on each day with a snapshot, and what else is told."""

    listed: Listed
    evidence: Evidence


@st.composite
def listed_days(draw: st.DrawFn) -> Listed:
    """Return days with, for each symbol listed then, the FIGI its list has."""
    days = sorted(draw(st.sets(st.sampled_from(DAYS), min_size=1)))
    day_lists = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FIGIS))
    return {day: draw(day_lists) for day in days}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    listed = draw(listed_days())
    days = st.sampled_from(DAYS)
    change = st.tuples(days, st.sampled_from(NAMES))
    several = st.lists(change, min_size=1, max_size=3).map(sorted)
    dates = st.dictionaries(st.sampled_from(["BBG1", "BBG2", "A"]), days)
    evidence = Evidence(
        snapshots=sorted(listed),
        changes=draw(st.dictionaries(st.sampled_from(["BBG1", "A"]), several)),
        listed_on=draw(dates),
        delisted_on=draw(dates),
        traded=draw(st.dictionaries(st.sampled_from(NAMES), st.sets(days, max_size=5).map(sorted))),
    )
    return Case(listed, evidence)


def spans_from(listed: Listed, evidence: Evidence) -> pl.DataFrame:
    def frame(symbols: Mapping[str, str | None], day: date) -> pl.DataFrame:
        rows = [
            dict.fromkeys(SYMBOLS) | {"symbol": name, "figi": figi, "as_of": day}
            for name, figi in symbols.items()
        ]
        return pl.DataFrame(rows, schema=SYMBOLS)

    snapshots = [(day, frame(symbols, day)) for day, symbols in sorted(listed.items())]
    return spans_of(listings_of(snapshots), evidence)


@settings(max_examples=100)
@given(cases())
def test_whoever_a_snapshot_lists_has_the_symbol_on_its_day(case: Case) -> None:
    spans = spans_from(case.listed, case.evidence)

    for day, symbols in case.listed.items():
        assert set(symbols) <= set(spans.filter(is_alive(day))["symbol"])


@settings(max_examples=100)
@given(cases())
def test_two_securities_never_have_one_symbol_at_once(case: Case) -> None:
    spans = spans_from(case.listed, case.evidence)

    for day in DAYS:
        alive = spans.filter(is_alive(day))
        assert alive.n_unique(["symbol", "security"]) == alive["symbol"].n_unique()


@settings(max_examples=100)
@given(cases())
def test_a_span_begins_before_it_ends(case: Case) -> None:
    spans = spans_from(case.listed, case.evidence)

    assert spans.filter(pl.col("from_on") >= pl.col("to_on")).height == 0


@settings(max_examples=50)
@given(st.data())
def test_from_lists_of_every_day_spans_are_the_lists(data: st.DataObject) -> None:
    """But for an absence of a few days, after which the same symbol is listed again."""
    day_lists = st.sets(st.sampled_from(NAMES))
    listed = {day: dict.fromkeys(sorted(data.draw(day_lists))) for day in DAYS}
    nothing = Evidence(snapshots=DAYS, changes={}, listed_on={}, delisted_on={}, traded={})

    spans = spans_from(listed, nothing)

    for name in NAMES:
        present = [day for day in DAYS if name in listed[day]]
        for day in DAYS:
            before = max((each for each in present if each <= day), default=None)
            after = min((each for each in present if each >= day), default=None)
            flickers = before and after and after - before <= FLICKER
            alive = name in set(spans.filter(is_alive(day))["symbol"])
            began = before is not None or (after == DAYS[0])
            assert alive == bool(began and (day in present or flickers))
