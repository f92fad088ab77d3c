"""What is expected changes: each affected closed session is due once more and ends complete.

The rounds are those of the gap sensor: which sessions are due, then a heal of what is missing.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.due_sessions import drop_closed_days, minutes_due, sessions_with_gaps
from stock_platform.pipelines.heal import Healer
from stock_platform.pipelines.reference import take_snapshots
from stock_platform.providers.registry import Providers
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.pipelines.exchange import Exchange, Life

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
SESSIONS = [date(2026, 11, day) for day in (17, 18, 19, 20)]
DAY = SESSIONS[1]
LIVES = [Life(symbol=name) for name in ("GOOG", "MSFT", "QUBT", "TSLA")]
BEFORE: dict[str, object] = {
    "symbols": "GOOG,MSFT,QUBT",
    "first_session": SESSIONS[0],
    "last_session": SESSIONS[-1],
}


class Platform:
    """One lake under settings that change, and its gap sensor."""

    def __init__(self, folder: Path, lives: list[Life]) -> None:
        self.folder, self.vendor = folder, Exchange(lives, NOW)

    def context(self, **changed: object) -> LakeContext:
        market = MarketSettings.model_validate(BEFORE | changed)
        return LakeContext(FileStore.open(self.folder), market, HealingSettings.model_validate({}))

    def snapshots(self, context: LakeContext) -> None:
        sessions = context.sessions(NOW)
        take_snapshots(context, self.vendor, [sessions[0], sessions[-1]])

    def rounds(self, **changed: object) -> list[list[date]]:
        """Return the sessions that were due in each round, until none is, at most five."""
        context, now = self.context(**changed), NOW
        self.vendor.calendar = context.calendar
        found: list[list[date]] = []
        for _ in range(5):
            now += timedelta(minutes=1)
            due = sessions_with_gaps(context, context.sessions(now))
            if not due:
                return found
            found.append(due)
            for session in due:
                self._heal(context, session, now)
        return found

    def _heal(self, context: LakeContext, session: date, now: datetime) -> None:
        need = minutes_due(context, session, now)
        if need is not None:
            grid = context.calendar.grid(session)
            healer = Healer(
                context=context, providers=Providers(minute=[self.vendor]), clock=lambda: now
            )
            healer.heal(grid, need.first, need.last, now=now, only_ready=True)

    def counts(self, session: date, **changed: object) -> tuple[int, int, int]:
        """Return what the stored coverage of a session counts: expected, observed, missing."""
        rows = query(
            self.context(**changed).store,
            "select sum(expected), sum(observed), sum(missing) from coverage "
            f"where session = date '{session}'",
        )
        expected, observed, missing = rows.row(0)
        return int(expected), int(observed), int(missing)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A lake that is complete for `BEFORE`."""
    platform = Platform(tmp_path / "lake", list(LIVES))
    assert platform.rounds() == [SESSIONS]
    assert platform.rounds() == []
    return platform


def test_a_swapped_symbol(platform: Platform) -> None:
    assert platform.rounds(symbols="GOOG,MSFT,TSLA") == [SESSIONS]

    assert platform.counts(DAY) == (1170, 1170, 0)
    asked = {pair for pair in platform.vendor.minutes_asked if pair[0] == "TSLA"}
    assert asked == {("TSLA", day) for day in SESSIONS}


def test_a_symbol_left_out_needs_no_request(platform: Platform) -> None:
    platform.vendor.minutes_asked.clear()

    assert platform.rounds(symbols="GOOG,MSFT") == [SESSIONS]

    assert platform.vendor.minutes_asked == []
    assert platform.counts(DAY) == (780, 780, 0)


def test_extended_hours_switched_on_and_off(platform: Platform) -> None:
    assert platform.rounds(extended_hours=True) == [SESSIONS]
    assert platform.counts(DAY) == (2880, 2880, 0)

    assert platform.rounds() == [SESSIONS]
    assert platform.counts(DAY) == (1170, 1170, 0)


def overrides(folder: Path, text: str) -> Path:
    path = folder / "overrides.yaml"
    path.write_text(text)
    return path


def test_an_early_close_learnt_later_is_counted_no_more(platform: Platform, tmp_path: Path) -> None:
    early = overrides(tmp_path, f"early_closes:\n  {DAY}: '13:00'\n")

    assert platform.rounds(calendar_overrides=early) == [[DAY]]

    assert platform.counts(DAY) == (630, 630, 0)
    assert platform.rounds() == [[DAY]]
    assert platform.counts(DAY) == (1170, 1170, 0)


def test_a_closure_learnt_later_is_due_never_again(platform: Platform, tmp_path: Path) -> None:
    closed = overrides(tmp_path, f"closed:\n  - {DAY}\n")

    assert platform.rounds(calendar_overrides=closed) == []


def test_what_a_closed_day_had_missing_is_counted_no_more(
    platform: Platform, tmp_path: Path
) -> None:
    context = platform.context(calendar_overrides=overrides(tmp_path, f"closed:\n  - {DAY}\n"))

    assert drop_closed_days(context) == [DAY]
    assert drop_closed_days(context) == []

    rows = query(context.store, "select distinct session from coverage order by session").rows()
    assert [day for (day,) in rows] == [day for day in SESSIONS if day != DAY]


def test_a_closure_that_was_none_makes_the_session_due(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "lake", list(LIVES))
    closed = overrides(tmp_path, f"closed:\n  - {DAY}\n")
    assert platform.rounds(calendar_overrides=closed) == [[d for d in SESSIONS if d != DAY]]

    assert platform.rounds() == [[DAY]]


def test_a_first_session_moved_back(platform: Platform) -> None:
    earlier = [date(2026, 11, 12), date(2026, 11, 13), date(2026, 11, 16)]

    assert platform.rounds(first_session=earlier[0]) == [earlier]

    assert platform.counts(earlier[0]) == (1170, 1170, 0)


@pytest.fixture
def whole_market(tmp_path: Path) -> Platform:
    """A lake of the whole market that is complete for a list without TSLA on DAY."""
    lives = [*LIVES[:3], Life(symbol="TSLA", first=SESSIONS[2])]
    platform = Platform(tmp_path / "lake", lives)
    platform.snapshots(platform.context(symbols="*"))
    assert platform.rounds(symbols="*") == [SESSIONS]
    return platform


def test_a_corrected_snapshot_that_lists_one_more(whole_market: Platform) -> None:
    whole_market.vendor.lives = list(LIVES)
    context = whole_market.context(symbols="*")
    for day in SESSIONS[:2]:
        take_snapshots(context, whole_market.vendor, [day])

    assert whole_market.rounds(symbols="*") == [SESSIONS[:2]]

    assert whole_market.counts(DAY) == (1560, 1560, 0)


def test_a_corrected_snapshot_that_lists_one_less(whole_market: Platform) -> None:
    whole_market.vendor.lives = [*LIVES[:2], Life(symbol="TSLA", first=SESSIONS[2])]
    context = whole_market.context(symbols="*")
    for day in SESSIONS:
        take_snapshots(context, whole_market.vendor, [day])

    assert whole_market.rounds(symbols="*") == [SESSIONS]

    assert whole_market.counts(DAY) == (780, 780, 0)


def test_a_first_session_moved_back_in_the_whole_market(whole_market: Platform) -> None:
    earlier = [date(2026, 11, 13), date(2026, 11, 16)]
    moved = {"symbols": "*", "first_session": earlier[0]}

    assert whole_market.rounds(**moved) == [earlier]
    whole_market.snapshots(whole_market.context(**moved))
    assert whole_market.rounds(**moved) == []


def test_a_rename_learnt_later_makes_the_old_symbol_due(tmp_path: Path) -> None:
    renamed = SESSIONS[2]
    lives = [
        Life(symbol="FB", figi="BBG000MM2P62", last=renamed),
        Life(symbol="META", figi="BBG000MM2P62", first=renamed),
    ]
    platform = Platform(tmp_path / "lake", lives)
    assert platform.rounds(symbols="META") == [SESSIONS]
    assert platform.counts(DAY) == (390, 0, 0)

    platform.snapshots(platform.context(symbols="META"))

    # The list of the last session says that FB left between the first and the last one.
    [due] = platform.rounds(symbols="META")
    assert set(SESSIONS[:2]) <= set(due)
    assert platform.counts(DAY) == (780, 390, 0)


def test_who_needs_nothing_is_written_once(platform: Platform, tmp_path: Path) -> None:
    early = overrides(tmp_path, f"early_closes:\n  {DAY}: '13:00'\n")
    context = platform.context(calendar_overrides=early)

    assert minutes_due(context, DAY, NOW) is None
    written = context.store.get(f"coverage/session={DAY}/data.parquet")
    assert minutes_due(context, DAY, NOW) is None

    assert written == context.store.get(f"coverage/session={DAY}/data.parquet")
    assert sessions_with_gaps(context, [DAY]) == []
