"""Which source is asked for daily bars, in which way, and what its silence means."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.lake import read
from stock_platform.pipelines.daily_bars import REFUSALS_MAX, DailyBarIngest, IngestResult
from stock_platform.simulator.scenario import Denial, Fault
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.real_input.stage import Clock, Platform, Vendor, asked_of

WED, THU = date(2026, 11, 18), date(2026, 11, 19)
SYMBOLS = ("AAPL", "BRK.B", "JPM", "MSFT", "QUBT")
NEXT_DAY = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
EVENING = datetime(2026, 11, 19, 21, 30, tzinfo=UTC)
"""Half an hour after the close: after-hours volume is still to come."""
MIDDAY = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)
FILE = "flatfiles /flatfiles/{key}"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    market = {"symbols": list(SYMBOLS), "first": WED, "last": THU, "splits": []}
    with running({"market": {"synthetic": market}}) as simulator:
        yield simulator


@pytest.fixture
def platform(simulator: Simulator, tmp_path: Path) -> Platform:
    return Platform(tmp_path, Vendor(simulator), SYMBOLS, extended=False, clock=Clock(NEXT_DAY))


def fill(platform: Platform, *days: date) -> IngestResult:
    with platform.providers() as providers:
        fill = DailyBarIngest(
            context=platform.lake_context, sources=providers.daily, clock=platform.clock
        )
        return fill.fill(list(days or (WED, THU)))


def providers_of(platform: Platform) -> dict[str, int]:
    bars = read.daily_bars(platform.lake_context.store, 2026, 2026)
    return dict(bars["provider"].value_counts().iter_rows())


def outcomes(platform: Platform) -> set[tuple[str, date, str]]:
    rows = read.table(platform.lake_context.store, "daily_answers", 2026)
    return set(rows.select("symbol", "session", "outcome").iter_rows())


def test_a_vendor_without_whole_sessions_is_asked_by_symbol(
    platform: Platform, simulator: Simulator
) -> None:
    platform.vendor = Vendor(simulator, rest=False, candles=simulator)

    done = fill(platform)

    assert providers_of(platform) == {"finnhub": 2 * len(SYMBOLS)}
    assert done.absent == 0


def test_a_plan_that_refuses_everything_is_not_asked_for_every_symbol(
    platform: Platform, simulator: Simulator
) -> None:
    platform.vendor = Vendor(simulator, rest=False, candles=simulator)
    simulator.set_denied([Denial(vendor="finnhub")])

    fill(platform)

    assert asked_of(simulator)["finnhub status 403"] == REFUSALS_MAX
    assert {outcome for _, _, outcome in outcomes(platform)} == {"refused"}
    assert len(outcomes(platform)) == 2 * len(SYMBOLS)


def test_one_symbol_outside_the_plan_does_not_cost_the_others(
    platform: Platform, simulator: Simulator
) -> None:
    simulator.set_denied([Denial(path="grouped"), Denial(path="/AAPL/")])

    done = fill(platform)

    assert providers_of(platform) == {"massive": 2 * (len(SYMBOLS) - 1)}
    assert outcomes(platform) == {("AAPL", day, "refused") for day in (WED, THU)}
    assert done.absent == 2


def test_files_are_read_once_a_session_whoever_failed_before(
    platform: Platform, simulator: Simulator
) -> None:
    platform.vendor = Vendor(simulator, files=True)
    simulator.set_faults([Fault(kind="server_error", vendor="massive")])

    fill(platform)

    assert providers_of(platform) == {"massive_flatfiles": 2 * len(SYMBOLS)}
    assert asked_of(simulator)[FILE] == 2


def test_a_running_session_is_not_said_to_be_absent(platform: Platform) -> None:
    one = replace(platform, symbols=SYMBOLS[:1], clock=Clock(MIDDAY))
    fill(one)
    before = outcomes(one)

    one.clock.now = NEXT_DAY
    done = fill(one)

    assert before == {("AAPL", THU, "failed")}
    assert done.absent == 0


def test_absent_on_the_evening_is_not_absent_for_good(platform: Platform) -> None:
    unlisted = replace(platform, symbols=("ZZZZ",), clock=Clock(EVENING))
    fill(unlisted, THU)
    evening = outcomes(unlisted)

    unlisted.clock.now = NEXT_DAY
    fill(unlisted, THU)

    assert evening == {("ZZZZ", THU, "failed")}
    assert outcomes(unlisted) == {("ZZZZ", THU, "absent")}


def test_a_bar_of_the_evening_is_replaced_by_the_final_one(platform: Platform) -> None:
    revisions = []
    for instant in (EVENING, NEXT_DAY):
        platform.clock.now = instant
        fill(platform, THU)
        bars = read.daily_bars(platform.lake_context.store, 2026, 2026)
        revisions.append(set(bars["revision"].cast(pl.String)))

    assert revisions == [{"rest"}, {"final"}]


def test_a_day_without_expected_symbols_is_no_error(platform: Platform) -> None:
    nobody = replace(platform, symbols=())

    done = fill(nobody)

    assert (done.expected, done.rows, done.calls) == (0, 0, 0)
