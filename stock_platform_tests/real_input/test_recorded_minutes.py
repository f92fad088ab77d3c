"""Every recorded minute: streamed with losses, healed, and in the lake as in its CSV."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.coverage import BITMAPS
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.lake import coverage, read
from stock_platform.pipelines.verify.verifier import Verifier
from stock_platform_tests.real_input.recording import OUTAGE_MINUTES, Recording, recorded
from stock_platform_tests.real_input.stage import FREE_PLAN, ROW, Platform, Vendor, asked_of
from stock_platform_tests.shared_data import MINUTE_FILES

HALF_DAY = date(2020, 11, 27)
STREAMED = {
    "MSFT_2020-11-23_2020-12-04": (HALF_DAY,),
    "SPX_2019-11-05_2019-11-08_rth": (date(2019, 11, 6),),
    "SPY_2011-01-03_2011-01-31": (date(2011, 1, 18),),
    "SPY_2020-12-15_2020-12-18_rth": (date(2020, 12, 18),),
}
"""Sessions of each file that the feed brings here, the others being lost as a whole: a streamed
minute costs 6 ms and there are 22,425. The slow test at the end streams them all."""
KEY = ["symbol", "minute"]
FILE = "flatfiles /flatfiles/{key}"
FILE_REQUESTS = 2
"""HEAD and GET."""
RANGE = "massive /v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}"


def named(file: Path) -> str:
    return file.stem


@pytest.fixture(scope="module", params=MINUTE_FILES, ids=named)
def recording(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recording]:
    file: Path = request.param
    with recorded(file, tmp_path_factory.mktemp(file.stem), STREAMED[file.stem]) as made:
        yield made


SOURCES = {"rest": {}, "files": {"files": True, "requests_per_minute": FREE_PLAN}}


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass(frozen=True)
class Cured:
    """A lake healed from one kind of source, and what that cost; tests leave it as it is."""

    platform: Platform
    asked: Counter[str]


@pytest.fixture(scope="module")
def cured(recording: Recording, source: str, tmp_path_factory: pytest.TempPathFactory) -> Cured:
    folder = tmp_path_factory.mktemp("healed")
    shutil.copytree(recording.lake, folder, dirs_exist_ok=True)
    vendor = Vendor(recording.simulator, **SOURCES[source])
    platform = Platform(folder, vendor, (recording.symbol,))
    before = asked_of(recording.simulator)
    platform.heal_all(recording.sessions)
    return Cured(platform, asked_of(recording.simulator) - before)


@pytest.fixture
def healed(cured: Cured) -> Platform:
    return cured.platform


def test_the_feed_leaves_holes_of_both_kinds(recording: Recording) -> None:
    platform = Platform(recording.lake, Vendor(recording.simulator), (recording.symbol,))

    for session in recording.streamed:
        lost = recording.simulator.lost(session)
        streamed = recording.rows_of(session).select(KEY).join(lost, on=KEY, how="anti")
        totals = platform.totals(session)
        assert platform.held(session).select(KEY).equals(streamed)
        # The outage is known to be missing, but for bars sent again after it; what was dropped
        # in silence is presumed silent.
        assert totals["missing"] > OUTAGE_MINUTES // 2
        assert totals["silent"] > 0
        assert lost.height > OUTAGE_MINUTES // 2


def test_the_healed_lake_equals_the_csv_row_by_row(recording: Recording, healed: Platform) -> None:
    held = pl.concat(healed.held(session) for session in recording.sessions)

    assert held.equals(recording.rows())


def test_the_holes_of_the_real_data_end_as_empty(recording: Recording, healed: Platform) -> None:
    for session in recording.sessions:
        rows, totals = recording.rows_of(session).height, healed.totals(session)
        expected = 780 if session == HALF_DAY else 960
        assert totals["observed"] == rows
        assert totals["empty"] == totals["expected"] - rows == expected - rows
        assert totals["missing"] == totals["silent"] == totals["refused"] == 0
        assert healed.need(session) is None


def test_coverage_can_be_derived_again_from_the_lake_alone(
    recording: Recording, healed: Platform
) -> None:
    for session in recording.sessions:
        grid, lake_context = healed.grid(session), healed.lake_context
        kept, derived = coverage.load(lake_context.store, grid), lake_context.derive(grid)
        assert kept is not None
        # Which bars a heal brought is history, the rest follows from evidence.
        for name in set(BITMAPS) - {"healed"}:
            assert np.array_equal(kept.bits[name], derived.bits[name]), name


def test_every_healed_session_is_verified_sound_and_complete(
    recording: Recording, healed: Platform
) -> None:
    verifier = Verifier(context=healed.lake_context)
    found = [verifier.verify(session) for session in recording.sessions]

    assert [held.defects for held in found] == [()] * len(found)
    assert {(held.complete, held.stored_coverage) for held in found} == {(True, "equal")}


def test_healing_again_changes_no_byte_and_asks_nobody(
    recording: Recording, healed: Platform
) -> None:
    before = {path: path.read_bytes() for path in healed.folder.rglob("*.parquet")}
    asked = asked_of(recording.simulator)

    healed.heal_all(recording.sessions)

    assert {path: path.read_bytes() for path in healed.folder.rglob("*.parquet")} == before
    assert asked_of(recording.simulator) == asked


def test_a_session_costs_one_file_or_two_calls_at_most(
    recording: Recording, source: str, cured: Cured
) -> None:
    days = len(recording.sessions)

    # A session never streamed is one call; of a streamed one the outage is healed at once
    # and what was presumed silent is asked for after the close.
    calls = {"files": {FILE: days * FILE_REQUESTS}, "rest": {RANGE: days + len(recording.streamed)}}
    assert cured.asked == calls[source]


def test_no_minute_is_expected_after_17_on_the_half_day(
    recording: Recording, healed: Platform
) -> None:
    ends = {
        session: healed.held(session)["minute"][-1].astimezone(NEW_YORK).strftime("%H:%M")
        for session in recording.sessions
    }
    after = {
        session: healed.lake_context.coverage(healed.grid(session)).unconfirmed()[:, 780:].any()
        for session in recording.sessions
    }

    assert ends.get(HALF_DAY, "16:59") == "16:59"
    assert not any(after.values())


def test_what_the_feed_got_wrong_is_on_record(recording: Recording, healed: Platform) -> None:
    fed = Platform(recording.lake, healed.vendor, healed.symbols)

    for session in recording.streamed:
        rows, lost = recording.rows_of(session), recording.simulator.lost(session)
        right = fed.held(session).join(rows, on=list(ROW), how="semi")
        found = read.table(healed.lake_context.store, "bar_differences", session)
        kinds = {kind: part.select(KEY) for (kind,), part in found.sort(KEY).group_by("kind")}
        assert kinds.keys() == {"added", "changed"}
        assert kinds["added"].equals(lost)
        assert kinds["changed"].height == rows.height - lost.height - right.height > 0


def test_with_regular_hours_only_the_rest_of_the_day_is_kept_apart_as_streamed(
    recording: Recording, tmp_path: Path
) -> None:
    shutil.copytree(recording.lake, tmp_path, dirs_exist_ok=True)
    vendor = Vendor(recording.simulator, files=True, requests_per_minute=FREE_PLAN)
    platform = Platform(tmp_path, vendor, (recording.symbol,), extended=False)
    session = recording.streamed[0]

    before = platform.held(session)
    platform.settle(session)

    grid, inside = platform.grid(session), pl.col("minute").is_between
    regular = inside(grid.opens_at, grid.closes_at, closed="left")
    found = read.table(platform.lake_context.store, "bar_differences", session)
    held = platform.held(session)
    apart = platform.kept_apart(session)
    assert held.equals(recording.rows_of(session).filter(regular))
    # SPY's closing auction at 16:00 is outside of regular hours, too.
    assert apart.equals(before.filter(~regular))
    assert apart.height > 0 or recording.symbol == "SPX"
    assert found.filter(~regular | (pl.col("kind") == "removed")).is_empty()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("file", MINUTE_FILES, ids=named)
def test_a_file_streamed_as_a_whole_is_healed_as_well(file: Path, tmp_path: Path) -> None:
    with recorded(file, tmp_path, None) as recording:
        platform = Platform(tmp_path, Vendor(recording.simulator), (recording.symbol,))
        platform.heal_all(recording.sessions)

        held = pl.concat(platform.held(session) for session in recording.sessions)
        assert held.equals(recording.rows())
