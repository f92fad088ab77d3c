"""Both changes of the clocks: wall-clock minutes stay in their slots on the whole way."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.lake.stream_parts import live_parts
from stock_platform.simulator.server import running
from stock_platform_tests.real_input.stage import Platform, Vendor, truth

FORWARD = (date(2026, 3, 6), date(2026, 3, 9))
BACK = (date(2026, 10, 30), date(2026, 11, 2))
OUTAGE = range(389, 406)
"""10:29 to 10:45 New York, counted from 04:00 whatever the clocks say in UTC: a minute's bars
leave after its end, so that an outage from 10:30 to 10:47 takes those."""
OPEN = 330
"""The slot of 09:30. Earlier ones are missing until the first bar shows that the feed is there."""
SYMBOLS = ("MSFT", "QUBT")


@pytest.fixture(scope="module", params=[FORWARD, BACK], ids=["forward", "back"])
def changed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[date, date, Platform]]:
    """Lose the Friday before a change, stream the Monday after it with an outage and drops."""
    friday, monday = request.param
    script = {
        "market": {
            "synthetic": {
                "symbols": list(SYMBOLS),
                "first": friday,
                "last": monday,
                "extended": True,
                "splits": [],
                "late": 0.05,
                "rebuilt": 0.05,
            }
        },
        "feed": {
            "sessions": [monday],
            "outages": [{"session": monday, "at": "10:30", "minutes": 17, "kind": "close_1001"}],
            "drops": [{"fraction": 0.05}],
        },
    }
    folder: Path = tmp_path_factory.mktemp("change")
    with running(script) as simulator:
        platform = Platform(folder, Vendor(simulator), SYMBOLS)
        platform.stream()
        yield friday, monday, platform


def test_the_clocks_change_between_the_sessions(changed: tuple[date, date, Platform]) -> None:
    friday, monday, platform = changed

    nights = platform.grid(monday).starts_at - platform.grid(friday).starts_at

    assert nights - timedelta(days=3) in {timedelta(hours=-1), timedelta(hours=1)}


def test_every_minute_of_both_sessions_is_healed(changed: tuple[date, date, Platform]) -> None:
    friday, monday, platform = changed
    simulator = platform.vendor.simulator
    parts = [
        entry.path.rsplit("/", 1)[-1][:4]
        for entry in live_parts(platform.lake_context.store, monday)
    ]
    slots = np.flatnonzero(
        platform.lake_context.coverage(platform.grid(monday)).missing().any(axis=0)
    )

    platform.heal_all((friday, monday))

    minutes = platform.held(monday)["minute"].dt.convert_time_zone(str(NEW_YORK))
    assert "0930" in parts
    assert set(parts) <= set(minutes.dt.strftime("%H%M"))
    assert set(slots[slots >= OPEN]) == set(OUTAGE)
    for session in (friday, monday):
        totals = platform.totals(session)
        assert platform.held(session).equals(truth(simulator, session))
        assert totals["observed"] + totals["empty"] == totals["expected"] == 960 * len(SYMBOLS)


def test_the_open_is_at_half_past_nine_in_new_york(changed: tuple[date, date, Platform]) -> None:
    for session in changed[:2]:
        grid = changed[2].lake_context.calendar.grid(session)
        opens = grid.minute(OPEN).astimezone(NEW_YORK)
        volume = (
            truth(changed[2].vendor.simulator, session)
            .filter(pl.col("minute").is_in([grid.minute(OPEN - 1), grid.minute(OPEN)]))
            .group_by("minute")
            .agg(pl.col("volume").sum())
            .sort("minute")["volume"]
        )
        assert f"{opens:%H:%M}" == "09:30"
        assert volume[-1] == volume.max()
