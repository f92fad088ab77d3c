"""Vendors in trouble, end to end: nothing wrong gets in, nothing is given up too early."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.lake import read
from stock_platform.simulator.scenario import Denial, Fault, FlatFile, convert
from stock_platform.simulator.server import running
from stock_platform_tests.lake.quarantined import read_quarantine
from stock_platform_tests.real_input.stage import (
    FREE_PLAN,
    Clock,
    Platform,
    Vendor,
    asked_of,
    truth,
)

DAY = date(2026, 11, 18)
NEXT_DAY = datetime(2026, 11, 19, 18, 0, tzinfo=UTC)
SYMBOLS = ("MSFT", "QUBT")
WAITS = (2.0, 10.0, 60.0, 360.0)
FILE = "flatfiles /flatfiles/{key}"
RANGE = "massive /v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}"
BROKEN = {
    "negative": "volume is negative",
    "huge": "high is absurdly large",
    "text": "open is not a number",
    "upside_down": "high is not the highest",
    "unaligned": "not aligned to the minute",
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Return a lake without the session, whose vendor answers one call at a time."""
    synthetic = {"symbols": list(SYMBOLS), "first": DAY, "last": DAY, "splits": [], "seed": 5}
    with running({"market": {"synthetic": synthetic}}) as simulator:
        yield Platform(
            tmp_path,
            Vendor(simulator),
            SYMBOLS[:1],
            extended=False,
            clock=Clock(NEXT_DAY),
            healing={"backoff_minutes": WAITS},
        )


def healed_after(platform: Platform, *faults: Fault) -> int:
    """Heal until nothing is missing, waiting as told; return how many runs that took."""
    platform.vendor.simulator.set_faults(faults)
    for runs, wait in enumerate((0.0, *WAITS)):
        platform.clock.wait(minutes=wait)
        platform.heal(DAY)
        if not platform.totals(DAY)["missing"]:
            return runs + 1
    return 0


def is_whole(platform: Platform) -> bool:
    mine = pl.col("symbol").is_in(platform.symbols)
    return platform.held(DAY).equals(truth(platform.vendor.simulator, DAY).filter(mine))


def test_a_short_storm_of_429_is_sat_out_within_one_run(platform: Platform) -> None:
    runs = healed_after(platform, Fault(kind="too_many_requests", count=1, retry_after_s=0.1))

    assert runs == 1
    assert is_whole(platform)


def test_a_long_storm_of_429_is_sat_out_over_several_runs(platform: Platform) -> None:
    runs = healed_after(platform, Fault(kind="too_many_requests", count=5))

    # Two tries a run: the fifth is struck in the third run, the sixth gets through.
    assert runs == 3
    assert is_whole(platform)


def test_a_named_delay_is_kept_by_later_runs_too(platform: Platform) -> None:
    platform.vendor.simulator.set_faults(
        [Fault(kind="too_many_requests", count=1, retry_after_s=3600)]
    )
    platform.heal(DAY)
    asked = asked_of(platform.vendor.simulator)
    platform.clock.wait(minutes=WAITS[0])

    platform.heal(DAY)

    assert asked[RANGE] == 1
    assert asked_of(platform.vendor.simulator) == asked
    assert platform.totals(DAY)["missing"] == 390


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="server_error", status=500, count=2),
        Fault(kind="server_error", status=503, body="empty", count=2),
        Fault(kind="server_error", status=502, body="html", count=2),
        Fault(kind="html", count=2),
        Fault(kind="reset", count=2),
        Fault(kind="cut", count=2),
        Fault(kind="truncated_gzip", count=2),
        Fault(kind="malformed", count=1),
        Fault(kind="empty_body", count=1),
        Fault(kind="looping_next_url", count=2),
        Fault(kind="foreign_next_url", count=1),
        Fault(kind="error_object", count=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.body}" if fault.kind == "server_error" else fault.kind,
)
def test_a_failure_proves_nothing_empty_and_is_asked_again(
    platform: Platform, fault: Fault
) -> None:
    platform.vendor.simulator.set_faults([fault])
    platform.heal(DAY)
    after, coverage = platform.totals(DAY), platform.lake_context.coverage(platform.grid(DAY))
    platform.clock.wait(minutes=WAITS[0])

    platform.heal(DAY)

    assert (after["missing"], after["empty"], after["observed"]) == (390, 0, 0)
    assert coverage.attempts.tolist() == [1]
    assert coverage.last_error[0]
    assert platform.totals(DAY)["missing"] == 0
    assert is_whole(platform)


@pytest.mark.parametrize(
    ("change", "file_calls"),
    [
        (FlatFile(session=DAY, truncated=True), 1),
        # What may not even be looked at is not asked for.
        (FlatFile(session=DAY, published="forbidden"), 0),
    ],
    ids=["truncated", "forbidden"],
)
def test_a_file_that_can_not_be_had_is_asked_for_by_symbol(
    platform: Platform, change: FlatFile, file_calls: int
) -> None:
    simulator = platform.vendor.simulator
    simulator.set_flatfiles([change])
    platform.symbols = SYMBOLS
    platform.vendor = Vendor(simulator, files=True, requests_per_minute=FREE_PLAN)

    healed = platform.heal(DAY)

    assert asked_of(simulator)[RANGE] == len(SYMBOLS)
    assert healed.calls == file_calls + len(SYMBOLS)
    assert platform.totals(DAY)["missing"] == 0
    assert is_whole(platform)


def test_what_one_vendor_refuses_the_next_one_gives(platform: Platform) -> None:
    simulator = platform.vendor.simulator
    simulator.set_denied([Denial(path="/range/")])
    platform.vendor = Vendor(simulator, candles=simulator)

    healed = platform.heal(DAY)

    store = platform.lake_context.store
    assert healed.refused == 1
    assert read.minute_bars(store, DAY)["provider"].unique().to_list() == ["finnhub"]
    assert platform.totals(DAY)["missing"] == platform.totals(DAY)["refused"] == 0
    assert is_whole(platform)


def test_a_replaced_file_corrects_what_was_final(platform: Platform) -> None:
    simulator = platform.vendor.simulator
    platform.vendor = Vendor(simulator, rest=False, files=True)
    platform.settle(DAY)
    before = platform.held(DAY)
    simulator.set_flatfiles([FlatFile(session=DAY, version=2)])
    platform.clock.wait(days=1)

    settled = platform.settle(DAY, since=platform.clock.now)

    changed = platform.held(DAY).join(before, on=before.columns, how="anti")
    assert settled.published is not None
    assert settled.published.changed == changed.height > 0
    assert platform.held(DAY).height == before.height


def test_a_broken_bar_is_quarantined_and_healed_once_it_comes_sound(platform: Platform) -> None:
    """Until then its minute is missing: a bar came, so nobody may call it empty."""
    fault = convert({"kind": "absurd", "count": 1, "values": list(BROKEN)}, Fault)
    platform.vendor.simulator.set_faults([fault])
    platform.heal(DAY)
    store, coverage = (
        platform.lake_context.store,
        platform.lake_context.coverage(platform.grid(DAY)),
    )
    bad = read_quarantine(store, NEXT_DAY.date())
    missing = platform.totals(DAY)["missing"]
    platform.clock.wait(minutes=WAITS[0])

    platform.heal(DAY)

    assert missing == len(BROKEN)
    assert coverage.attempts.tolist() == [1]
    assert set(bad["reason"]) == set(BROKEN.values())
    assert platform.totals(DAY)["missing"] == 0
    assert is_whole(platform)


def test_while_a_bar_stays_broken_the_rest_of_its_symbol_is_there(platform: Platform) -> None:
    runs = healed_after(platform, Fault(kind="absurd", values=("upside_down",)))

    totals = platform.totals(DAY)
    # The waits are used up: an alarm, not a loop.
    assert runs == 0
    assert totals["missing"] == 1
    assert totals["observed"] + totals["empty"] == 389
    assert platform.need(DAY) is None


def test_a_number_that_is_none_costs_no_more_than_the_answer(platform: Platform) -> None:
    runs = healed_after(platform, Fault(kind="absurd", count=1, values=("nan",)))

    assert runs == 2
    assert is_whole(platform)
