"""What healing costs: nothing for a healthy session, one call for a lost one, no loop."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.healing.scheduling import select_sessions
from stock_platform.simulator.scenario import Denial
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.real_input.stage import Clock, Platform, Vendor, asked_of, truth

DAY = date(2026, 11, 18)
CLOSED_AT = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
NEXT_DAY = datetime(2026, 11, 19, 18, 0, tzinfo=UTC)
FILE = "flatfiles /flatfiles/{key}"
RANGE = "massive /v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}"
REFUSED = "massive status 403"
ONE_FILE = {FILE: 2}
"""HEAD says that it is published, GET reads it."""
WAITS = (2.0, 10.0, 60.0)


def market(symbols: int | list[str]) -> dict[str, object]:
    synthetic = {"symbols": symbols, "first": DAY, "last": DAY, "splits": [], "seed": 5}
    return {"market": {"synthetic": synthetic}}


def expecting(folder: Path, vendor: Vendor) -> Platform:
    """Return an empty lake that wants every symbol of the vendor, on the day after."""
    symbols = tuple(vendor.simulator.market.listings()["symbol"])
    return Platform(folder, vendor, symbols, extended=False, clock=Clock(NEXT_DAY))


def asked_during(simulator: Simulator, before: Counter[str]) -> dict[str, int]:
    grown = asked_of(simulator) - before
    return {name: count for name, count in grown.items() if "status" not in name}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Stream one session of 120 symbols without any loss."""
    with running(market(120)) as simulator:
        folder = tmp_path_factory.mktemp("healthy")
        vendor = Vendor(simulator, files=True)
        platform = expecting(folder, vendor)
        platform.stream()
        yield platform


def test_a_healthy_session_costs_no_heal_and_one_file_after_the_close(healthy: Platform) -> None:
    simulator = healthy.vendor.simulator
    evening = replace(healthy, clock=Clock(CLOSED_AT + timedelta(minutes=3)))
    before = asked_of(simulator)

    before_settlement = evening.need(DAY)
    asked_before_settlement = asked_during(simulator, before)
    healthy.settle(DAY)
    asked_by_settlement = asked_during(simulator, before)
    again = healthy.settle(DAY)

    assert before_settlement is None
    assert asked_before_settlement == {}
    assert asked_by_settlement == asked_during(simulator, before) == ONE_FILE
    assert healthy.need(DAY) is None
    assert again.calls == 0
    assert healthy.held(DAY).equals(truth(simulator, DAY))


def test_a_lost_session_of_500_symbols_costs_one_run_and_one_file(tmp_path: Path) -> None:
    with running(market(500)) as simulator:
        vendor = Vendor(simulator, files=True)
        platform = expecting(tmp_path, vendor)
        rules, need = platform.lake_context.policy, platform.need(DAY)
        before = asked_of(simulator)

        assert need is not None
        runs = select_sessions([need], {}, NEXT_DAY, backoff=rules.retry, sessions_max=4)
        healed = platform.heal(DAY)

        assert len(runs) == 1
        assert (need.minutes, need.symbols) == (390 * 500, 500)
        assert healed.calls == 1
        assert asked_during(simulator, before) == ONE_FILE
        assert platform.held(DAY).equals(truth(simulator, DAY))
        assert platform.totals(DAY)["missing"] == 0
        assert platform.need(DAY) is None


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Platform]:
    """Return a lost session of three symbols, the first of which the plan does not cover."""
    with running(market(["AAPL", "MSFT", "QUBT"])) as simulator:
        simulator.set_denied([Denial(path="/AAPL/")])
        yield replace(expecting(tmp_path, Vendor(simulator)), healing={"backoff_minutes": WAITS})


def test_a_refused_symbol_does_not_hold_up_the_others(refused: Platform) -> None:
    refused.heal(DAY)

    coverage = refused.lake_context.coverage(refused.grid(DAY))
    others = truth(refused.vendor.simulator, DAY).filter(pl.col("symbol") != "AAPL")
    assert refused.held(DAY).equals(others)
    assert coverage.totals()["missing"] == coverage.totals()["refused"] == 390
    assert "403" in coverage.last_error[0]


def test_an_unfillable_gap_is_asked_for_a_few_times_and_then_given_up(refused: Platform) -> None:
    simulator, clock = refused.vendor.simulator, refused.clock
    asked_at: list[timedelta] = []

    for _ in range(120):
        if refused.need(DAY) is not None:
            refused.heal(DAY)
            asked_at.append(clock() - NEXT_DAY)
        clock.wait(minutes=1)

    coverage = refused.lake_context.coverage(refused.grid(DAY))
    waits = [timedelta(0), *(timedelta(minutes=sum(WAITS[: n + 1])) for n in range(len(WAITS)))]
    assert asked_at == waits
    assert asked_of(simulator)[REFUSED] == len(waits)
    assert coverage.attempts.tolist() == [len(waits), 0, 0]
    clock.wait(days=365)
    assert refused.need(DAY) is None


def test_with_few_calls_a_run_the_unfillable_waits_behind_the_others(refused: Platform) -> None:
    few = replace(refused, healing={"backoff_minutes": WAITS, "calls_max": 1})
    observed: list[int] = []

    for _ in range(3):
        few.heal(DAY)
        observed.append(len(set(few.held(DAY)["symbol"])))
        few.clock.wait(minutes=3)

    assert observed == [0, 1, 2]


def test_once_the_plan_covers_it_a_refused_gap_is_filled(refused: Platform) -> None:
    refused.heal(DAY)
    refused.vendor.simulator.set_denied([])
    refused.clock.wait(minutes=WAITS[0])

    refused.heal(DAY)

    totals = refused.totals(DAY)
    assert totals["missing"] == totals["refused"] == 0
    assert refused.held(DAY).equals(truth(refused.vendor.simulator, DAY))
